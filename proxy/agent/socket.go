package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// listenSocket opens a Unix socket that only this process's user may connect to.
func listenSocket(ctx context.Context, path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) { // left by a container that was killed
		return nil, fmt.Errorf("remove old socket: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		listener.Close()
		return nil, fmt.Errorf("protect socket: %w", err)
	}
	return listener, nil
}

// newSocketServer returns a gRPC server of encoded messages with limits for one client, Envoy.
func newSocketServer() *grpc.Server {
	return grpc.NewServer(
		grpc.ForceServerCodecV2(frameCodec{}),
		grpc.MaxRecvMsgSize(4<<20),
		grpc.MaxConcurrentStreams(1000), // Envoy may open one for each use of a secret
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
	)
}

// registerStream adds a service with one bidirectional stream of frames.
func registerStream(server *grpc.Server, service, method string, serve func(grpc.ServerStream) error) {
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: service,
		HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{
			StreamName: method, ServerStreams: true, ClientStreams: true,
			Handler: func(_ any, stream grpc.ServerStream) error { return serve(stream) },
		}},
	}, nil)
}

// serveSocket serves until ctx ends. It then closes the streams at once, because they last as long as Envoy.
func serveSocket(ctx context.Context, server *grpc.Server, listener net.Listener) error {
	stop := context.AfterFunc(ctx, server.Stop)
	defer stop()
	if err := server.Serve(listener); err != nil && ctx.Err() == nil {
		return fmt.Errorf("serve %s: %w", listener.Addr(), err)
	}
	return nil
}
