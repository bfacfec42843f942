package agent

import (
	"context"
	"errors"
	"io"
	"log/slog"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	secretv3 "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/mesh-operator/mesh-operator/internal/certclient"
)

// sdsServer gives Envoy the workload's certificate and roots, and each new one as soon as it is there. It listens on a
// socket that only this user may open. FetchSecrets stays unimplemented: nobody needs to poll.
type sdsServer struct {
	secretv3.UnimplementedSecretDiscoveryServiceServer

	client *certclient.Client
	log    *slog.Logger
}

// StreamSecrets speaks the state-of-the-world protocol.
func (s *sdsServer) StreamSecrets(stream secretv3.SecretDiscoveryService_StreamSecretsServer) error {
	var session stateSession
	return converse(stream.Context(), s, stream.Recv, stream.Send, session.request, session.push)
}

// DeltaSecrets speaks the incremental one.
func (s *sdsServer) DeltaSecrets(stream secretv3.SecretDiscoveryService_DeltaSecretsServer) error {
	var session deltaSession
	return converse(stream.Context(), s, stream.Recv, stream.Send, session.request, session.push)
}

// converse connects one stream with one session: a request is answered, a renewal is pushed.
func converse[Req discoveryRequest, Res any](
	ctx context.Context, s *sdsServer, recv func() (Req, error), send func(*Res) error,
	request func(Req, map[string]secret) (*Res, string), push func(map[string]secret) *Res,
) error {
	changed := s.client.Subscribe()
	defer s.client.Unsubscribe(changed)
	requests, ended := receive(ctx, recv)
	for {
		var response *Res
		select {
		case err := <-ended:
			return err
		case r := <-requests:
			if url := r.GetTypeUrl(); url != "" && url != secretType {
				return status.Errorf(codes.InvalidArgument, "this socket serves secrets, not %s", url)
			}
			have, err := currentSecrets(s.client)
			if err != nil {
				return err
			}
			var rejected string
			if response, rejected = request(r, have); rejected != "" {
				s.log.Warn("envoy rejected a certificate", "error", rejected)
			}
		case <-changed:
			have, err := currentSecrets(s.client)
			if err != nil {
				return err
			}
			response = push(have)
		}
		if response == nil {
			continue
		}
		if err := send(response); err != nil {
			return err
		}
	}
}

// discoveryRequest is what both protocols' requests have.
type discoveryRequest interface{ GetTypeUrl() string }

var (
	_ discoveryRequest = (*discoveryv3.DiscoveryRequest)(nil)
	_ discoveryRequest = (*discoveryv3.DeltaDiscoveryRequest)(nil)
)

// receive makes a channel of a stream, so that one select can wait for it and for a renewal.
func receive[Req any](ctx context.Context, recv func() (Req, error)) (<-chan Req, <-chan error) {
	requests, ended := make(chan Req), make(chan error, 1)
	go func() {
		for {
			r, err := recv()
			if err != nil {
				if errors.Is(err, io.EOF) {
					err = nil
				}
				ended <- err
				return
			}
			select {
			case requests <- r:
			case <-ctx.Done():
				return
			}
		}
	}()
	return requests, ended
}

func newSDSServer(client *certclient.Client, log *slog.Logger) *grpc.Server {
	server := newSocketServer()
	secretv3.RegisterSecretDiscoveryServiceServer(server, &sdsServer{client: client, log: log})
	return server
}
