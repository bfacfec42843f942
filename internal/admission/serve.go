package admission

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"

	"github.com/mesh-operator/mesh-operator/internal/monitoring"
)

// What connections may cost before they have said anything.
const (
	connectionsPerAddress = 512
	connections           = 4096
)

// Serve runs a webhook on address until ctx ends. The TLS configuration must offer http/1.1 only: HTTP/2 lets one
// connection ask without end.
func Serve(ctx context.Context, address string, config *tls.Config, handler http.Handler) error {
	plain, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	bounded := &boundedListener{Listener: plain, perAddress: connectionsPerAddress, total: connections, open: map[string]int{}}
	return monitoring.ServeListener(ctx, tls.NewListener(bounded, config), handler)
}
