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

// What connections may cost before they have said anything.
const (
	connectionsPerAddress = 512
	connections           = 4096
)

// lameDuck is how long a webhook answers on after its end was asked for. A pod that goes leaves its Service's endpoints at
// that same moment, and until every proxy of the API server's Service knows, a refused connection is a refused object.
const lameDuck = 3 * time.Second

// Serve runs a webhook on address until ctx ends and lameDuck is over. Whatever the TLS configuration offers, HTTP/2 is not spoken: it lets one
// connection ask without end.
func Serve(ctx context.Context, address string, config *tls.Config, handler http.Handler) error {
	plain, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	lingering, cancel := linger(ctx)
	defer cancel()
	return serve(lingering, plain, config, sendAway(ctx, handler))
}

// linger returns a context with the values of ctx that ends lameDuck after it.
func linger(ctx context.Context) (context.Context, context.CancelFunc) {
	lingering, cancel := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() { time.AfterFunc(lameDuck, cancel) })
	return lingering, cancel
}

func serve(ctx context.Context, plain net.Listener, config *tls.Config, handler http.Handler) error {
	config = config.Clone()
	config.NextProtos = []string{"http/1.1"}
	bounded := connlimit.New(plain, connectionsPerAddress, connections)
	return httpserver.ServeListener(ctx, tls.NewListener(bounded, config), handler)
}

// sendAway has every client of handler come back on another connection, and so to another pod, once ctx has ended: one that
// kept its connection to the last would lose the question it asks at that moment.
func sendAway(ctx context.Context, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ctx.Err() != nil {
			w.Header().Set("Connection", "close")
		}
		handler.ServeHTTP(w, r)
	})
}
