package admission

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/mesh-operator/mesh-operator/internal/connlimit"
	"github.com/mesh-operator/mesh-operator/internal/httpserver"
)

// Limits of connections before their first request.
const (
	connectionsPerAddress = 512
	connections           = 4096
)

// drainTime is how long a webhook continues to answer after SIGTERM. The pod leaves its Service's endpoints at the same time,
// and until the API server's node follows, a refused connection is a refused object.
const drainTime = 3 * time.Second

// Serve runs a webhook on address until drainTime after ctx ends. HTTP/2 is not offered, whatever the TLS configuration says:
// the number of requests of one of its connections is not limited.
func Serve(ctx context.Context, address string, config *tls.Config, handler http.Handler) error {
	plain, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	lingering, cancel := linger(ctx)
	defer cancel()
	return serve(lingering, plain, config, closeWhenDone(ctx, handler))
}

// linger returns a context with the values of ctx that ends drainTime after it.
func linger(ctx context.Context) (context.Context, context.CancelFunc) {
	lingering, cancel := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() { time.AfterFunc(drainTime, cancel) })
	return lingering, cancel
}

func serve(ctx context.Context, plain net.Listener, config *tls.Config, handler http.Handler) error {
	config = config.Clone()
	config.NextProtos = []string{"http/1.1"}
	bounded := connlimit.New(plain, connectionsPerAddress, connections)
	return httpserver.ServeListener(ctx, tls.NewListener(bounded, config), handler)
}

// closeWhenDone closes each connection after its next response once ctx has ended, so that clients connect to another pod. A
// connection that stays open until the process exits loses a request.
func closeWhenDone(ctx context.Context, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ctx.Err() != nil {
			w.Header().Set("Connection", "close")
		}
		handler.ServeHTTP(w, r)
	})
}
