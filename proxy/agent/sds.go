package agent

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	secretv3 "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/mesh-operator/mesh-operator/internal/certclient"
	"github.com/mesh-operator/mesh-operator/internal/certfile"
)

// sdsServer gives Envoy the workload's certificate and roots, the certificates that rules name by file, and each new one
// as soon as it is there. It listens on a socket that only this user may open. FetchSecrets stays unimplemented: nobody
// needs to poll.
type sdsServer struct {
	secretv3.UnimplementedSecretDiscoveryServiceServer

	client   *certclient.Client
	own      []string      // folders whose files are never served
	interval time.Duration // between two looks at files
	log      *slog.Logger
}

// StreamSecrets speaks the state-of-the-world protocol.
func (s *sdsServer) StreamSecrets(stream secretv3.SecretDiscoveryService_StreamSecretsServer) error {
	var session stateSession
	return serveStream(stream.Context(), s, stream.Recv, stream.Send, session.request, session.push)
}

// DeltaSecrets speaks the incremental one.
func (s *sdsServer) DeltaSecrets(stream secretv3.SecretDiscoveryService_DeltaSecretsServer) error {
	var session deltaSession
	return serveStream(stream.Context(), s, stream.Recv, stream.Send, session.request, session.push)
}

// converse connects one stream with one session: a request is answered; a renewal, and a file that has changed, is pushed.
func serveStream[Req discoveryRequest, Res any](
	ctx context.Context, s *sdsServer, recv func() (Req, error), send func(*Res) error,
	request func(Req, lookup) (*Res, string), push func(lookup) *Res,
) error {
	changed := s.client.Subscribe()
	defer s.client.Unsubscribe(changed)
	ticker := time.NewTicker(s.interval)
	defer ticker.Stop()
	files := newFileSecrets(s.own, s.log)
	requests, ended := receive(ctx, recv)
	for {
		var r Req
		var asked bool
		select {
		case err := <-ended:
			return err
		case r = <-requests:
			asked = true
		case <-changed:
		case <-ticker.C:
			if len(files.known) == 0 {
				continue // of the workload's own secrets the client tells
			}
		}
		have, err := s.secrets(files)
		if err != nil {
			return err
		}
		var response *Res
		if asked {
			response, err = handleRequest(s, r, have, request)
		} else {
			response = push(have)
		}
		if err != nil {
			return err
		}
		if response == nil {
			continue
		}
		if err := send(response); err != nil {
			return err
		}
	}
}

// answer takes one request.
func handleRequest[Req discoveryRequest, Res any](s *sdsServer, r Req, have lookup, request func(Req, lookup) (*Res, string)) (*Res, error) {
	if url := r.GetTypeUrl(); url != "" && url != secretType {
		return nil, status.Errorf(codes.InvalidArgument, "this socket serves secrets, not %s", url)
	}
	response, rejected := request(r, have)
	if rejected != "" {
		s.log.Warn("envoy rejected a certificate", "error", rejected)
	}
	return response, nil
}

// secrets finds the workload's own secrets and those in files.
func (s *sdsServer) secrets(files *fileSecrets) (lookup, error) {
	own, err := currentSecrets(s.client)
	if err != nil {
		return nil, err
	}
	return func(name string) (secret, bool) {
		if paths, ok := certfile.Parse(name); ok {
			return files.get(name, paths)
		}
		return own.get(name)
	}, nil
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

// newSDSServer never serves a file of the folders own.
func newSDSServer(client *certclient.Client, own []string, log *slog.Logger) *grpc.Server {
	server := newSocketServer()
	secretv3.RegisterSecretDiscoveryServiceServer(server, &sdsServer{client: client, own: own, interval: filesInterval, log: log})
	return server
}
