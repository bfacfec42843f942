// Command bookinfo is Istio's sample application as one program: a page about a book, from four services.
//
//	browser ──► productpage ──► details
//	                 │
//	                 └────────► reviews v1 (no stars)
//	                            reviews v2 (black stars) ──► ratings
//	                            reviews v3 (red stars)   ──►
//
//	bookinfo productpage|details|reviews|ratings
//
// SERVICE_VERSION (v1, v2, v3) is its version, PORT its port (9080). DETAILS_HOSTNAME, REVIEWS_HOSTNAME and
// RATINGS_HOSTNAME, and the ports DETAILS_SERVICE_PORT and so on, are the addresses of the others; SERVICES_DOMAIN is appended to
// their names. Nothing is stored: the data is the page of one book.
//
// Each service forwards the headers that tie its calls together (forward.go), which is all that a mesh needs from an application.
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

// drain is how long requests may take after SIGTERM.
const drain = 10 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	logger := slog.New(slog.NewTextHandler(os.Stdout, nil))
	if err := run(ctx, logger, os.Args[1:], os.Getenv); err != nil {
		logger.Error("bookinfo stops", "error", err)
		os.Exit(1)
	}
}

// run serves one role until the context ends, then finishes requests in flight.
func run(ctx context.Context, logger *slog.Logger, args []string, env func(string) string) error {
	if len(args) != 1 {
		return errors.New("usage: bookinfo productpage|details|reviews|ratings")
	}
	handler, err := newService(args[0], env, logger)
	if err != nil {
		return err
	}
	server := &http.Server{
		Addr:              ":" + or(env("PORT"), "9080"),
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	logger.Info("bookinfo serves", "role", args[0], "version", version(env), "address", server.Addr)
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", args[0], err)
	case <-ctx.Done():
	}
	logger.Info("bookinfo finishes what is under way", "role", args[0])
	stopping, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	return server.Shutdown(stopping)
}

func version(env func(string) string) string { return or(env("SERVICE_VERSION"), "v1") }

func or(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}
