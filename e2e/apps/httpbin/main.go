// Command httpbin answers what it is asked for: a status, a delay, or what the request looked like when it arrived. Tests
// and people see with it what a mesh did to a request on its way.
//
//	/status/503      that status                 /headers         the request's headers
//	/delay/2         after so many seconds       /get /post /anything/…  everything about the request
//	/ip              who called                  /health          that it is up
//
// PORT is where it listens (8080); SERVICE_VERSION is part of its answers, so that versions can be told apart.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// drain is how long requests under way may take when the pod is told to stop.
const drain = maxDelay + time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		slog.Error("httpbin stops", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	address := ":8080"
	if port := os.Getenv("PORT"); port != "" {
		address = ":" + port
	}
	server := &http.Server{Addr: address, Handler: newHandler(os.Getenv("SERVICE_VERSION"), slog.Default()), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	slog.Info("httpbin serves", "address", address)
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	if err := server.Shutdown(stopping); !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return server.Close()
}
