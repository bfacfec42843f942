package server

import (
	"log/slog"
	"testing"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// TestPodReplacedDuringConnect gives the new pod's configuration to nobody else.
func TestPodReplacedDuringConnect(t *testing.T) {
	in, s := sharingMesh(), New(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	s.Publish(mesh.Build(nil, in))
	authorized, _ := s.current().Proxy("a", "x-0")
	replacement := in.Pods.Get("a/x-0").DeepCopy()
	replacement.UID = "another"
	mesh.Add(&in.Pods, replacement)
	s.Publish(mesh.Build(s.current(), in))
	c := newConnection(*authorized)
	s.attach(c)
	select {
	case <-c.expired:
	default:
		t.Error("the stream goes on")
	}
	if c.update.resources() != nil {
		t.Error("it has the configuration of another pod")
	}
	c.request(&discovery.DeltaDiscoveryRequest{TypeUrl: string(resource.Cluster), InitialResourceVersions: map[string]string{"kept": "1"}})
	if r, _ := c.next(); r != nil {
		t.Errorf("a proxy that has no pod any more is told %v", r)
	}
}
