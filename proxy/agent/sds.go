package agent

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/mesh-operator/mesh-operator/internal/certclient"
	"github.com/mesh-operator/mesh-operator/internal/certfile"
)

const (
	sdsService  = "envoy.service.secret.v3.SecretDiscoveryService"
	stateMethod = "StreamSecrets"
)

// sdsServer serves the workload's certificate and roots and the certificates that rules name by file, and pushes each
// change. Only this process's user may open its socket. It has the one method that pilot's configuration uses: neither
// FetchSecrets nor DeltaSecrets.
type sdsServer struct {
	client   *certclient.Client
	reserved []string      // folders whose files are never served
	interval time.Duration // between two checks of files
	log      *slog.Logger
}

// newSDSServer never serves a file of the reserved folders.
func newSDSServer(client *certclient.Client, reserved []string, log *slog.Logger) *grpc.Server {
	s := &sdsServer{client: client, reserved: reserved, interval: filesInterval, log: log}
	server := newSocketServer()
	registerStream(server, sdsService, stateMethod, s.serve)
	return server
}

// serve runs one stream: it answers requests, and pushes a renewed certificate and a changed file.
func (s *sdsServer) serve(stream grpc.ServerStream) error {
	changed := s.client.Subscribe()
	defer s.client.Unsubscribe(changed)
	ticker := time.NewTicker(s.interval)
	defer ticker.Stop()
	files := newFileSecrets(s.reserved, s.log)
	requests, ended := receive(stream.Context(), func() (*frame, error) {
		f := &frame{}
		return f, stream.RecvMsg(f)
	})
	var session sdsSession
	for {
		var request *frame
		select {
		case err := <-ended:
			return err
		case request = <-requests:
		case <-changed:
		case <-ticker.C:
			if len(files.byName) == 0 {
				continue // a change of the workload's own secrets comes through changed
			}
		}
		response, err := s.respond(&session, request, files)
		if err != nil {
			return err
		}
		if response == nil {
			continue
		}
		if err := stream.SendMsg(&frame{response.encode()}); err != nil {
			return err
		}
	}
}

// respond returns the response to a request, or with nil to a change; nil when there is nothing new.
func (s *sdsServer) respond(session *sdsSession, request *frame, files *fileSecrets) (*discoveryResponse, error) {
	find, err := s.secrets(files)
	if err != nil {
		return nil, err
	}
	if request == nil {
		return session.push(find), nil
	}
	r, err := parseDiscoveryRequest(request.data)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if r.typeURL != "" && r.typeURL != secretType {
		return nil, status.Errorf(codes.InvalidArgument, "this socket serves secrets, not %s", r.typeURL)
	}
	if r.rejection != "" && !session.stale(r) {
		s.log.Warn("envoy rejected a certificate", "error", r.rejection)
	}
	return session.request(r, find), nil
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

// receive turns a stream into channels, so that one select can wait for requests and for changes.
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
