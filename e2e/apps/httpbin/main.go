// Command httpbin answers with the status, delay or description of the request that its path names. It shows what a mesh changed in
// a request.
//
//	/status/503      that status                 /headers         the request's headers
//	/delay/2         after so many seconds       /get /post /anything/…  everything about the request
//	/ip              who called                  /health          that it is up
//	/tls             who called, by certificate
//
// PORT is where it listens (8080); SERVICE_VERSION is part of its answers. With TLS_CERT
// and TLS_KEY (files) it listens with TLS on TLS_PORT (8443) as well, and with TLS_CLIENT_CA requires client certificates.
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
	handler := newHandler(os.Getenv("SERVICE_VERSION"), slog.Default())
	servers := []*http.Server{newServer("PORT", "8080", handler)}
	if certificate := os.Getenv("TLS_CERT"); certificate != "" {
		config, err := tlsConfig(certificate, os.Getenv("TLS_KEY"), os.Getenv("TLS_CLIENT_CA"))
		if err != nil {
			return err
		}
		servers = append(servers, newServer("TLS_PORT", "8443", handler))
		servers[1].TLSConfig = config
	}
	failed := make(chan error, len(servers))
	for _, s := range servers {
		go func() { failed <- serve(s) }()
	}
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	return shutdown(servers)
}

// newServer listens on the port that a variable names.
func newServer(variable, port string, handler http.Handler) *http.Server {
	if named := os.Getenv(variable); named != "" {
		port = named
	}
	return &http.Server{Addr: ":" + port, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
}

func serve(s *http.Server) error {
	slog.Info("httpbin serves", "address", s.Addr, "tls", s.TLSConfig != nil)
	if s.TLSConfig != nil {
		return s.ListenAndServeTLS("", "")
	}
	return s.ListenAndServe()
}

func shutdown(servers []*http.Server) error {
	stopping, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	var failed error
	for _, s := range servers {
		err := s.Shutdown(stopping)
		if errors.Is(err, context.DeadlineExceeded) {
			err = s.Close()
		}
		failed = errors.Join(failed, err)
	}
	return failed
}
