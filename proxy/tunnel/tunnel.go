// Package tunnel carries TCP connections between two pods of the mesh's own add-ons, for programs that cannot use the mesh's
// certificates: the client accepts on loopback in one pod, the server forwards to loopback in the other, and between them is
// mutual TLS with certificates of the CA. The server forwards only for the identities on its list.
//
// Jaeger reaches its storage through one, so that nothing else in the cluster can read or change traces.
package tunnel

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mesh-operator/mesh-operator/internal/connlimit"
	"github.com/mesh-operator/mesh-operator/internal/spiffe"
)

const (
	handshakeTimeout = 10 * time.Second
	dialTimeout      = 10 * time.Second
	keepAlive        = 30 * time.Second

	// Anybody in the cluster may open connections to the server before it knows who they are.
	maxConnections           = 1000
	maxConnectionsPerAddress = 200
)

// Tunnel is one end.
type Tunnel struct {
	accept func(ctx context.Context, conn net.Conn) (net.Conn, error)
	dial   func(ctx context.Context) (net.Conn, error)
	log    *slog.Logger
}

// Protocol is the application protocol of both TLS configurations. It keeps connections of tunnels apart from other uses of the
// same certificates.
const Protocol = "mesh-tunnel"

// NewServer returns the end that accepts mutual TLS from the allowed identities and forwards to target, a host:port. The
// configuration has to require and verify certificates of clients.
func NewServer(config *tls.Config, target string, allowed []spiffe.ID, log *slog.Logger) *Tunnel {
	return &Tunnel{
		accept: func(ctx context.Context, conn net.Conn) (net.Conn, error) {
			return authenticate(ctx, conn, config, allowed)
		},
		dial: func(ctx context.Context) (net.Conn, error) {
			dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}
			return dialer.DialContext(ctx, "tcp", target)
		},
		log: log,
	}
}

// NewClient returns the end that accepts plain connections and sends them to server, a host:port, whose certificate the
// configuration verifies.
func NewClient(config *tls.Config, server string, log *slog.Logger) *Tunnel {
	dialer := &tls.Dialer{NetDialer: &net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive}, Config: config}
	return &Tunnel{
		accept: func(_ context.Context, conn net.Conn) (net.Conn, error) { return conn, nil },
		dial:   func(ctx context.Context) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", server) },
		log:    log,
	}
}

// Listen opens a port for Serve.
func Listen(address string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for connections: %w", err)
	}
	return connlimit.New(listener, maxConnectionsPerAddress, maxConnections), nil
}

// Serve forwards connections of the listener until ctx ends.
func (t *Tunnel) Serve(ctx context.Context, listener net.Listener) error {
	group, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	for {
		conn, err := listener.Accept()
		if err != nil {
			if ctx.Err() == nil {
				return fmt.Errorf("accept connection: %w", err)
			}
			return group.Wait()
		}
		group.Go(func() error {
			t.forward(ctx, conn)
			return nil
		})
	}
}

// forward copies both directions until both have ended, or ctx has.
func (t *Tunnel) forward(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	log := t.log.With("client", conn.RemoteAddr())
	in, err := t.accept(ctx, conn)
	if err != nil {
		log.Warn("connection refused", "error", err)
		return
	}
	out, err := t.dial(ctx)
	if err != nil {
		log.Warn("connection not forwarded", "error", err)
		return
	}
	defer out.Close()
	stop := context.AfterFunc(ctx, func() {
		conn.Close()
		out.Close()
	})
	defer stop()
	var both errgroup.Group
	both.Go(func() error { return copyHalf(out, in) })
	both.Go(func() error { return copyHalf(in, out) })
	_ = both.Wait() // an error is the end of a connection
}

// copyHalf tells the other side when one direction has ended, and ends both on an error.
func copyHalf(to, from net.Conn) error {
	if _, err := io.Copy(to, from); err != nil {
		to.Close()
		from.Close()
		return err
	}
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return to.Close()
}

// authenticate returns the decrypted connection of an allowed client.
func authenticate(ctx context.Context, plain net.Conn, config *tls.Config, allowed []spiffe.ID) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	conn := tls.Server(plain, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("verify client: %w", err)
	}
	state := conn.ConnectionState()
	if state.NegotiatedProtocol != Protocol {
		return nil, errors.New("verify client: it speaks another protocol")
	}
	id, err := spiffe.FromCertificate(state.PeerCertificates[0])
	if err != nil {
		return nil, fmt.Errorf("verify client: %w", err)
	}
	if !slices.Contains(allowed, id) {
		return nil, fmt.Errorf("verify client: %s is not allowed", id)
	}
	return conn, nil
}
