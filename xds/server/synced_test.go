package server

import (
	"testing"
	"testing/synctest"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// setOf is a set of one cluster.
func setOf(version string) *resource.Set {
	r := &resource.Resource{Type: resource.Cluster, Name: "c", Version: version, Body: &anypb.Any{}}
	return (*resource.Set)(nil).Put(r)
}

func unknownChange(_, _ *resource.Set) Change { return nil }

// TestSynced takes a connection from its beginning through a response that is accepted, one that is not, and an update that
// is not taken.
func TestSynced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConnection(mesh.Proxy{})
		is := func(when string, want bool) {
			t.Helper()
			if got := c.synced(time.Now()); got != want {
				t.Errorf("%s: synced is %t", when, got)
			}
		}
		request := func(r *discovery.DeltaDiscoveryRequest) {
			r.TypeUrl = string(resource.Cluster)
			c.request(r)
		}
		is("just connected", true)
		time.Sleep(acceptTimeout)
		is("and asks for nothing", false)

		c.setUpdate(1, setOf("1"), unknownChange)
		request(&discovery.DeltaDiscoveryRequest{})
		r, _ := c.next()
		is("a response is on its way", true)
		time.Sleep(acceptTimeout)
		is("and stays unanswered", false)
		request(&discovery.DeltaDiscoveryRequest{ResponseNonce: r.GetNonce()})
		is("accepted", true)
		time.Sleep(time.Hour)
		is("at rest", true)

		c.setUpdate(2, setOf("2"), unknownChange)
		is("an offer waits", true)
		time.Sleep(acceptTimeout)
		is("and is not taken", false)
		r, _ = c.next()
		is("taken", true)
		request(&discovery.DeltaDiscoveryRequest{ResponseNonce: r.GetNonce(), ErrorDetail: &status.Status{Message: "no"}})
		is("refused", false)
		time.Sleep(time.Hour)
		is("still refused", false)

		c.setUpdate(3, setOf("3"), unknownChange)
		r, _ = c.next()
		request(&discovery.DeltaDiscoveryRequest{ResponseNonce: r.GetNonce()})
		is("the next one is accepted", true)
	})
}
