package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
)

const (
	// firstRequestTimeout is how long an authenticated client may hold a stream open without saying which pod it is.
	firstRequestTimeout = 10 * time.Second
	// maxStreamsPerConnection is more than the one that a proxy opens: a client may have many connections before anybody knows
	// which pod it is.
	maxStreamsPerConnection = 4
	// maxStreamsPerPod is how many streams one pod may have: a proxy needs one, and another while it changes replicas or
	// has lost one without a word. Each costs memory that a tenant could multiply.
	maxStreamsPerPod = 16
	// maxErrorLength is what is kept of a proxy's reason to reject; Envoy names some hundred listeners in less.
	maxErrorLength = 16 << 10
	// sendTimeout is how long a client may take nothing of a response: one that answers pings and never reads would hold it
	// for as long as its connection lives.
	sendTimeout = time.Minute
)

type deltaStream = discovery.AggregatedDiscoveryService_DeltaAggregatedResourcesServer

// service is the gRPC service on one listener; listeners differ in how they tell who is calling.
type service struct {
	discovery.UnimplementedAggregatedDiscoveryServiceServer

	server   *Server
	identify identify
}

// StreamAggregatedResources is not served: Envoy of this mesh speaks delta only. The interceptor has authenticated the
// caller all the same.
func (*service) StreamAggregatedResources(discovery.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	return status.Error(codes.Unimplemented, "only DeltaAggregatedResources is served")
}

// DeltaAggregatedResources serves one proxy until it leaves.
func (s *service) DeltaAggregatedResources(stream deltaStream) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	release, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer release()
	requests, failed := receive(ctx, stream)
	first, err := firstRequest(ctx, requests, failed)
	if err != nil {
		return clean(err)
	}
	proxy, err := s.authorize(ctx, first)
	if err != nil {
		return err
	}
	release()
	c := newConnection(proxy)
	if !s.server.attach(c) {
		err := status.Errorf(codes.ResourceExhausted, "pod %s/%s has %d streams already", proxy.Namespace, proxy.Name, maxStreamsPerPod)
		s.server.refuseProxy(c, err)
		return err
	}
	defer s.server.detach(c)
	log := s.server.log.With("proxy", proxy.Name, "namespace", proxy.Namespace)
	log.Debug("proxy connected", "type", proxy.Type)
	defer log.Debug("proxy disconnected")
	return s.server.serve(ctx, stream, c, first, requests, failed, log)
}

// enter waits until the caller may say whose proxy it is.
func (s *service) enter(ctx context.Context) (release func(), err error) {
	id, err := s.identify(ctx)
	if err != nil {
		return nil, err
	}
	who := "loopback"
	if id != nil {
		who = id.String()
	}
	if release, err = s.server.handshakes.acquire(ctx, who); err != nil {
		s.server.refuse(addressOf(ctx), err, "identity", who)
	}
	return release, err
}

// receive reads the stream in a goroutine of its own, one request ahead at most.
func receive(ctx context.Context, stream deltaStream) (<-chan *discovery.DeltaDiscoveryRequest, <-chan error) {
	requests, failed := make(chan *discovery.DeltaDiscoveryRequest), make(chan error, 1)
	go func() {
		for {
			r, err := stream.Recv()
			if err != nil {
				failed <- err
				return
			}
			select {
			case requests <- r:
			case <-ctx.Done():
				return
			}
		}
	}()
	return requests, failed
}

func firstRequest(ctx context.Context, requests <-chan *discovery.DeltaDiscoveryRequest, failed <-chan error) (*discovery.DeltaDiscoveryRequest, error) {
	timer := time.NewTimer(firstRequestTimeout)
	defer timer.Stop()
	select {
	case r := <-requests:
		return r, nil
	case err := <-failed:
		return nil, err
	case <-timer.C:
		return nil, status.Error(codes.DeadlineExceeded, "no request")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *service) authorize(ctx context.Context, first *discovery.DeltaDiscoveryRequest) (proxy mesh.Proxy, err error) {
	id, err := s.identify(ctx)
	if err == nil {
		proxy, err = authorize(s.server.current(), id, first.GetNode())
	}
	if err != nil {
		node := first.GetNode().GetId()
		s.server.refuse(addressOf(ctx), err, "node", node[:min(len(node), maxNodeIDLength)])
	}
	return proxy, err
}

// serve is the loop of one stream. It ends when the client is gone or the pod is. Between two events everything that may
// be sent is sent; while a send waits for a slow client, pushes replace each other in the connection.
func (s *Server) serve(ctx context.Context, stream deltaStream, c *connection, first *discovery.DeltaDiscoveryRequest,
	requests <-chan *discovery.DeltaDiscoveryRequest, failed <-chan error, log *slog.Logger,
) error {
	for r := first; ; {
		if r != nil {
			if err := s.take(c, r, log); err != nil {
				return err
			}
		}
		if err := s.flush(stream, c); err != nil {
			return err
		}
		r = nil
		select {
		case r = <-requests:
		case <-c.wake:
		case err := <-failed:
			return clean(err)
		case <-c.expired:
			return status.Errorf(codes.Unavailable, "pod %s/%s is gone", c.proxy.Namespace, c.proxy.Name)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Server) take(c *connection, r *discovery.DeltaDiscoveryRequest, log *slog.Logger) error {
	rejection, err := c.request(r)
	if err != nil {
		err = status.Error(codes.ResourceExhausted, err.Error())
		s.refuseProxy(c, err)
		return err
	}
	if rejection == nil {
		return nil
	}
	s.metrics.rejects.WithLabelValues(rejection.Type.Short()).Inc()
	s.logRejection(c, rejection, log)
	return nil
}

func (s *Server) flush(stream deltaStream, c *connection) error {
	for {
		r, done := c.next()
		if r == nil {
			if !done.IsZero() {
				s.metrics.convergence.Observe(time.Since(done).Seconds())
			}
			return nil
		}
		s.metrics.pushes.WithLabelValues(resource.Type(r.GetTypeUrl()).Short()).Inc() // before the client can know of it
		if err := s.send(stream, c, r); err != nil {
			return err
		}
	}
}

// send gives up on a client that does not take the response. The stream ends with serve's return, and with it the goroutine.
func (s *Server) send(stream deltaStream, c *connection, r *discovery.DeltaDiscoveryResponse) error {
	sent := make(chan error, 1)
	go func() { sent <- stream.Send(r) }()
	late := time.NewTimer(s.sendTimeout)
	defer late.Stop()
	select {
	case err := <-sent:
		return err
	case <-late.C:
		err := status.Errorf(codes.DeadlineExceeded, "a response was not taken within %s", s.sendTimeout)
		s.refuseProxy(c, err)
		return err
	}
}

// clean makes the ordinary end of a stream a success.
func clean(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
