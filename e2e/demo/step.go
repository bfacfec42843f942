package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// stepLimit bounds every step: even the build of Kubernetes on a slow and busy machine takes less.
const stepLimit = time.Hour

// step runs one named step and shows its elapsed time while it runs and when it ends.
func step(ctx context.Context, out io.Writer, name string, run func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, stepLimit)
	defer cancel()
	started := time.Now()
	stop := progress(out, name, started)
	err := run(ctx)
	stop()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("gave up after %s: %w", stepLimit, err)
	}
	mark := "ok"
	if err != nil {
		mark = "FAILED"
	}
	fmt.Fprintf(out, "%s%-52s %6.1fs  %s\n", eraser(out), name, time.Since(started).Seconds(), mark)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// progress rewrites the current line on a terminal; elsewhere it prints a line every half minute.
func progress(out io.Writer, name string, started time.Time) (stop func()) {
	every := 30 * time.Second
	if terminal(out) {
		every = time.Second
	}
	tick := time.NewTicker(every)
	done := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				show(out, name, time.Since(started))
			}
		}
	})
	return func() { tick.Stop(); close(done); group.Wait() }
}

func show(out io.Writer, name string, elapsed time.Duration) {
	end := "\n"
	if terminal(out) {
		end = ""
	}
	fmt.Fprintf(out, "%s%-52s %6.0fs  …%s", eraser(out), name, elapsed.Seconds(), end)
}

func eraser(out io.Writer) string {
	if terminal(out) {
		return "\r\x1b[K"
	}
	return ""
}

func terminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
