// Command sleep is a pod to send requests from. Called as sleep it waits for SIGTERM; called as curl it is a
// small HTTP client with the flags that scripts use, so that `kubectl exec deploy/sleep -- curl …` works in an
// image without a shell.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := call(ctx, filepath.Base(os.Args[0]), os.Args[1:])
	stop()
	os.Exit(code)
}

// call selects the program by its name; `sleep curl URL` is curl too.
func call(ctx context.Context, name string, args []string) int {
	if name == "sleep" && len(args) > 0 && args[0] == "curl" {
		name, args = "curl", args[1:]
	}
	if name == "curl" {
		return curl(ctx, args, os.Stdout, os.Stderr)
	}
	wait, err := duration(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "sleep: error:", err)
		return 2
	}
	sleep(ctx, wait)
	return 0
}

// sleep ends early, with exit code 0, when the context does.
func sleep(ctx context.Context, wait time.Duration) {
	if wait < 0 {
		<-ctx.Done()
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(wait):
	}
}

// duration reads what sleep takes: seconds, a number with a unit, or infinity, which is below zero here and the default.
func duration(args []string) (time.Duration, error) {
	if len(args) == 0 || args[0] == "infinity" || args[0] == "inf" {
		return -1, nil
	}
	for _, text := range []string{args[0], args[0] + "s"} {
		if d, err := time.ParseDuration(text); err == nil && d >= 0 {
			return d, nil
		}
	}
	return 0, fmt.Errorf("parse %q: use infinity, a number of seconds, or one with a unit as in 5m", args[0])
}
