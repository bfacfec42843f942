package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/mesh-operator/mesh-operator/internal/certclient"
)

const (
	adsService  = "envoy.service.discovery.v3.AggregatedDiscoveryService"
	deltaMethod = "DeltaAggregatedResources"

	maxResponse = 64 << 20 // bytes; the configuration of a large mesh
)

// xdsProxy forwards Envoy's ADS stream to pilot over mutual TLS, without decoding the messages. Each stream of Envoy's has its
// own connection to pilot: when one of the two ends, the other ends too, and Envoy reconnects with the versions it has. A
// stream that Envoy opens before the back-off is over waits here.
type xdsProxy struct {
	address    string
	client     *certclient.Client
	name       string // DNS name that pilot's certificate must have
	log        *slog.Logger
	rejections atomic.Int64

	open     func(context.Context) (*pilotStream, error)
	backoff  attemptBackoff
	failures *failureLog
}

func newXDSProxy(c Config, client *certclient.Client, n *counters, log *slog.Logger) *xdsProxy {
	x := &xdsProxy{address: c.PilotAddress, name: c.PilotServerName, client: client, log: log}
	x.open = x.connect
	x.failures = newFailureLog(log.With("pilot", c.PilotAddress), "no connection to pilot", "connected to pilot", n.streams.with(""))
	x.failures.lastReason = "not connected yet" // so that the first connection is logged
	return x
}

// newXDSServer serves the incremental protocol only: it is the one that the bootstrap configures.
func newXDSServer(x *xdsProxy) *grpc.Server {
	server := newSocketServer()
	registerStream(server, adsService, deltaMethod, x.handle)
	return server
}

// pilotStream is a stream with its own connection.
type pilotStream struct {
	grpc.ClientStream
	close func()
}

func (x *xdsProxy) handle(envoy grpc.ServerStream) error {
	x.backoff.wait(envoy.Context())
	if envoy.Context().Err() != nil {
		return nil //nolint:nilerr // Envoy has closed the stream
	}
	err := x.forward(envoy)
	if errors.Is(err, errEnvoyClosed) || envoy.Context().Err() != nil {
		return nil //nolint:nilerr // Envoy has closed the stream
	}
	x.backoff.schedule()
	x.failures.record(publicError(status.Convert(err).Message()))
	return status.Errorf(codes.Unavailable, "pilot %s: %s", x.address, status.Convert(err).Message())
}

// forward connects Envoy's stream with pilot and returns why that ended.
func (x *xdsProxy) forward(envoy grpc.ServerStream) error {
	ctx, cancel := context.WithCancel(envoy.Context())
	defer cancel()
	pilot, err := x.open(ctx)
	if err != nil {
		return err
	}
	defer pilot.close()
	// Pilot sends nothing to a proxy that has the current configuration, so a stream that lasts counts as a success too.
	stable := time.AfterFunc(stableAfter, func() { x.backoff.reset(); x.failures.record(nil) })
	defer stable.Stop()
	ended := make(chan error, 2)
	go func() { ended <- x.copyRequests(envoy, pilot) }()
	go func() { ended <- x.copyResponses(pilot, envoy) }()
	return <-ended
}

func (x *xdsProxy) connect(ctx context.Context) (*pilotStream, error) {
	conn, err := x.dial()
	if err != nil {
		return nil, err
	}
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/"+adsService+"/"+deltaMethod)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return &pilotStream{stream, func() { conn.Close() }}, nil
}

// dial ignores the HTTP proxy of the environment: the control plane is inside the cluster.
func (x *xdsProxy) dial() (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient("passthrough:///"+x.address,
		grpc.WithTransportCredentials(credentials.NewTLS(x.client.ClientTLS(x.name))),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", address)
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(frameCodec{}), grpc.MaxCallRecvMsgSize(maxResponse)),
	)
	if err != nil {
		return nil, fmt.Errorf("dial pilot: %w", err)
	}
	return conn, nil
}

var errEnvoyClosed = errors.New("envoy closed the stream")

func (x *xdsProxy) copyRequests(envoy grpc.ServerStream, pilot grpc.ClientStream) error {
	for {
		var f frame
		if err := envoy.RecvMsg(&f); err != nil {
			return errEnvoyClosed
		}
		x.logRejection(f.data)
		if err := pilot.SendMsg(&f); err != nil && !errors.Is(err, io.EOF) { // EOF: RecvMsg returns the reason
			return err
		}
	}
}

func (x *xdsProxy) copyResponses(pilot grpc.ClientStream, envoy grpc.ServerStream) error {
	for {
		var f frame
		if err := pilot.RecvMsg(&f); err != nil {
			return err
		}
		x.backoff.markConfigured()
		x.failures.record(nil)
		if err := envoy.SendMsg(&f); err != nil {
			return errEnvoyClosed
		}
	}
}

// logRejection logs Envoy's error when a request rejects a configuration. Pilot logs it for the mesh's owner, the agent for
// the pod's.
func (x *xdsProxy) logRejection(data []byte) {
	r, err := parseDeltaRejection(data)
	if err != nil || r.message == "" {
		return
	}
	x.log.Warn("envoy rejected configuration", "type", r.typeURL, "error", r.message, "nonce", r.nonce, "rejections", x.rejections.Add(1))
}
