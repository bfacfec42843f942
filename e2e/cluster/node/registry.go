package node

import (
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/mesh-operator/mesh-operator/e2e/cluster/netns"
	"github.com/mesh-operator/mesh-operator/e2e/cluster/state"
)

// registryPort is the same on the node and, when it is free, on the host.
const registryPort = 5000

// serveRegistry serves an image registry for tests of pulling: the node pulls from localhost:5000, which containerd trusts
// without TLS, and the host pushes through the forwarder. Both ends are on loopback; pushed images are in memory.
func (d *daemon) serveRegistry() error {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(registryPort))
	listener, err := netns.Listen(d.network, "tcp4", address)
	if err != nil {
		return fmt.Errorf("serve registry: %w", err)
	}
	server := &http.Server{
		Handler:           registry.New(registry.Logger(stdlog.New(silent{}, "", 0))),
		ReadHeaderTimeout: 10 * time.Second,
	}
	go func() { _ = server.Serve(listener) }() // ends with the process
	outside, err := d.forwarder.OpenFrom(registryPort, address)
	if err != nil {
		return fmt.Errorf("forward registry: %w", err)
	}
	d.supervisor.update(func(s *state.State) { s.Registry = outside })
	return nil
}

// silent drops the registry's line for every request.
type silent struct{}

func (silent) Write(p []byte) (int, error) { return len(p), nil }
