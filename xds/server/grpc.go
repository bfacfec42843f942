package server

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/mesh-operator/mesh-operator/xds/envoy"
)

// New returns a server without a snapshot: until Publish it tells proxies to try again. It starts nothing.
func New(log *slog.Logger, registry prometheus.Registerer) *Server {
	return &Server{
		log: log, metrics: newMetrics(registry), builder: envoy.NewBuilder(), sendTimeout: sendTimeout, logRate: newLogRate(), codec: newCodec(),
		connections: map[*connection]bool{}, quotas: map[string]*podQuota{}, handshakes: handshakeLimit{byIdentity: map[string]*handshakeSlots{}},
	}
}

// Secure returns the gRPC server for proxies. config must demand a client certificate of the mesh.
func (s *Server) Secure(config *tls.Config) *grpc.Server {
	return s.grpcServer(byCertificate, grpc.Creds(credentials.NewTLS(config)))
}

// Insecure returns the gRPC server for a loopback listener without certificates, for development and measurement.
func (s *Server) Insecure() *grpc.Server { return s.grpcServer(byNode) }

func (s *Server) grpcServer(who identify, extra ...grpc.ServerOption) *grpc.Server {
	options := append([]grpc.ServerOption{
		grpc.ForceServerCodecV2(s.codec),
		grpc.MaxRecvMsgSize(4 << 20),
		grpc.MaxHeaderListSize(64 << 10),
		grpc.MaxConcurrentStreams(maxStreamsPerConnection),
		grpc.InitialWindowSize(64 << 10), // what a stream may hold that is not read yet; without this it grows
		grpc.ConnectionTimeout(10 * time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			Time: 30 * time.Second, Timeout: 10 * time.Second,
			MaxConnectionAge: 30 * time.Minute, MaxConnectionAgeGrace: 10 * time.Second, // proxies spread over replicas again
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.StreamInterceptor(s.authenticate(who)),
	}, extra...)
	g := grpc.NewServer(options...)
	discovery.RegisterAggregatedDiscoveryServiceServer(g, &service{server: s, identify: who})
	return g
}

// authenticate refuses untrusted clients on every method, served or not, before the method runs.
func (s *Server) authenticate(who identify) grpc.StreamServerInterceptor {
	return func(service any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
		if _, err := who(stream.Context()); err != nil {
			s.refuse(addressOf(stream.Context()), err, "method", info.FullMethod)
			return err
		}
		return s.guardStream(func() error { return handle(service, stream) })
	}
}

// ListenLoopback opens a plaintext listener. Any address but a loopback one is refused: a client gets the configuration
// of the pod that it names, without authentication.
func ListenLoopback(address string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("listen on --insecure-grpc-addr: %w", err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("listen on --insecure-grpc-addr %s: plaintext is served on a loopback address only, such as 127.0.0.1:15010", address)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on --insecure-grpc-addr: %w", err)
	}
	return listener, nil
}
