package server

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// stuckStream is that of a client which answers pings and takes nothing.
type stuckStream struct {
	deltaStream
	ended chan struct{}
}

func (s stuckStream) Send(*discovery.DeltaDiscoveryResponse) error {
	<-s.ended
	return status.Error(codes.Canceled, "stream has ended")
}

func TestSendTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
		stream := stuckStream{ended: make(chan struct{})}
		started := time.Now()
		err := s.send(stream, newConnection(mesh.Proxy{}), &discovery.DeltaDiscoveryResponse{})
		close(stream.ended) // as gRPC does when the method returns
		if status.Code(err) != codes.DeadlineExceeded || time.Since(started) != sendTimeout {
			t.Errorf("left after %s with %v, want %s and DeadlineExceeded", time.Since(started), err, sendTimeout)
		}
	})
}
