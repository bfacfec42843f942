// Package httpserver runs plain HTTP/1.1 servers with the limits of this product on time, size and connections. Every HTTP
// port goes through it (internal/archtest). It has no dependency on metrics or flags, so that the small agent can use it.
package httpserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/mesh-operator/mesh-operator/internal/connlimit"
)

// Serve runs a plain HTTP/1.1 server with this product's limits on address until ctx ends.
func Serve(ctx context.Context, address string, handler http.Handler) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return ServeListener(ctx, connlimit.New(listener, connectionsPerAddress, connections), handler)
}

// The connection limits of a port that untrusted clients reach.
const (
	connectionsPerAddress = 256
	connections           = 2048
)

// idleTimeout is longer than the API server keeps an idle connection, 90 s: if this side closed first, it would now and then
// close under a request, and a webhook call is not repeated.
const idleTimeout = 3 * time.Minute

// grace is how long requests in flight may take at the end of the process: well within a pod's usual 30 s.
const grace = 5 * time.Second

// ServeListener is Serve on a listener that is already open; it closes it. Requests in flight when ctx ends have grace to be
// answered before ServeListener returns; connections that are left then are closed.
func ServeListener(ctx context.Context, listener net.Listener, handler http.Handler) error {
	unending := context.WithoutCancel(ctx)
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		WriteTimeout:      time.Minute, // a client that never reads must not hold the response
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return unending },
	}
	drained := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(drained)
		drain(unending, server)
	})
	err := server.Serve(listener)
	if !stop() {
		<-drained
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", listener.Addr(), err)
	}
	return nil
}

// drain ends the server as soon as the requests in flight are answered, and after grace in any case.
func drain(ctx context.Context, server *http.Server) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		_ = server.Close()
	}
}
