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

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/mesh-operator/mesh-operator/internal/certclient"
)

const (
	adsService  = "envoy.service.discovery.v3.AggregatedDiscoveryService"
	deltaMethod = "DeltaAggregatedResources"

	maxResponse = 64 << 20 // configuration of a large mesh
)

// xdsProxy carries Envoy's configuration stream to pilot, with the workload's certificate around it. Messages pass as
// bytes. Each stream of Envoy's has a connection to pilot of its own: when one of the two ends, so does the other, and
// Envoy comes again soon, saying what it already has. A stream that comes too early waits here.
type xdsProxy struct {
	address string
	client  *certclient.Client
	name    string // that pilot's certificate must forward
	log     *slog.Logger
	nacks   atomic.Int64

	open     func(context.Context) (*pilotStream, error)
	backoff  attemptBackoff
	failures *failureLog
}

func newXDSProxy(c Config, client *certclient.Client, n *counters, log *slog.Logger) *xdsProxy {
	x := &xdsProxy{address: c.PilotAddress, name: c.PilotServerName, client: client, log: log}
	x.open = x.connect
	x.failures = newFailureLog(log.With("pilot", c.PilotAddress), "no connection to pilot", "connected to pilot", n.streams)
	x.failures.lastReason = "not asked yet" // the first connection is news as well
	return x
}

// pilotStream is a stream with the connection that is its own.
type pilotStream struct {
	grpc.ClientStream
	close func()
}

// register adds the one method that there is. The state-of-the-world one is not served: Envoy asks for what the bootstrap
// says, and nobody else may open the socket.
func (x *xdsProxy) register(server *grpc.Server) {
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: adsService,
		HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{
			StreamName: deltaMethod, ServerStreams: true, ClientStreams: true,
			Handler: func(_ any, stream grpc.ServerStream) error { return x.handle(stream) },
		}},
	}, nil)
}

func (x *xdsProxy) handle(envoy grpc.ServerStream) error {
	x.backoff.wait(envoy.Context())
	if envoy.Context().Err() != nil {
		return nil
	}
	err := x.forward(envoy)
	if errors.Is(err, errEnvoyClosed) || envoy.Context().Err() != nil {
		return nil
	}
	x.backoff.schedule()
	x.failures.record(publicError(status.Convert(err).Message()))
	return status.Errorf(codes.Unavailable, "pilot %s: %s", x.address, status.Convert(err).Message())
}

// carry connects Envoy with pilot and returns why that ended.
func (x *xdsProxy) forward(envoy grpc.ServerStream) error {
	ctx, cancel := context.WithCancel(envoy.Context())
	defer cancel()
	pilot, err := x.open(ctx)
	if err != nil {
		return err
	}
	defer pilot.close()
	// To a proxy that has everything already pilot says nothing.
	lasting := time.AfterFunc(stableAfter, func() { x.backoff.reset(); x.failures.record(nil) })
	defer lasting.Stop()
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

// dial bypasses any HTTP proxy of the environment: the mesh's own control plane is inside the cluster.
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
		if err := pilot.SendMsg(&f); err != nil && !errors.Is(err, io.EOF) { // EOF: the reason comes from RecvMsg
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

// noteRejection logs Envoy's words when a request says that a configuration was not accepted: the pod's owner sees them
// here, the mesh's at pilot.
func (x *xdsProxy) logRejection(data []byte) {
	var request discoveryv3.DeltaDiscoveryRequest
	if err := proto.Unmarshal(data, &request); err != nil || request.ErrorDetail == nil {
		return
	}
	x.log.Warn("envoy rejected configuration", "type", request.TypeUrl, "error", request.ErrorDetail.Message,
		"nonce", request.ResponseNonce, "rejections", x.nacks.Add(1))
}

// frame is one message as it came.
type frame struct{ data []byte }

// frameCodec leaves messages encoded.
type frameCodec struct{}

// Name is the content subtype that the other side expects.
func (frameCodec) Name() string { return "proto" }

// Marshal returns the message as it came.
func (frameCodec) Marshal(v any) (mem.BufferSlice, error) {
	f, ok := v.(*frame)
	if !ok {
		return nil, fmt.Errorf("marshal %T: not a frame", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(f.data)}, nil
}

// Unmarshal keeps a copy: gRPC takes its buffers back.
func (frameCodec) Unmarshal(data mem.BufferSlice, v any) error {
	f, ok := v.(*frame)
	if !ok {
		return fmt.Errorf("unmarshal %T: not a frame", v)
	}
	f.data = data.Materialize()
	return nil
}

func newXDSServer(x *xdsProxy) *grpc.Server {
	server := newSocketServer(grpc.ForceServerCodecV2(frameCodec{}))
	x.register(server)
	return server
}
