package admission

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"

	"github.com/mesh-operator/mesh-operator/internal/connlimit"
	"github.com/mesh-operator/mesh-operator/internal/monitoring"
)

// What connections may cost before they have said anything.
const (
	connectionsPerAddress = 512
	connections           = 4096
)

// Serve runs a webhook on address until ctx ends. Whatever the TLS configuration offers, HTTP/2 is not spoken: it lets one
// connection ask without end.
func Serve(ctx context.Context, address string, config *tls.Config, handler http.Handler) error {
	plain, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return serve(ctx, plain, config, handler)
}

func serve(ctx context.Context, plain net.Listener, config *tls.Config, handler http.Handler) error {
	config = config.Clone()
	config.NextProtos = []string{"http/1.1"}
	bounded := connlimit.New(plain, connectionsPerAddress, connections)
	return monitoring.ServeListener(ctx, tls.NewListener(bounded, config), handler)
}
