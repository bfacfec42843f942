package server

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// TestBusySessionDoesNotBlockPublish has a client that keeps its session busy while pilot publishes, another proxy connects, and
// a client reads which proxies are synced.
func TestBusySessionDoesNotBlockPublish(t *testing.T) {
	in := sharingMesh()
	first := mesh.Build(nil, in)
	w := watch(t, first)
	before := w.x.update.resources()
	w.x.working.Lock()
	defer w.x.working.Unlock()

	mesh.Add(&in.EndpointSlices, someSlice(metav1.ObjectMeta{Namespace: "a", Name: "x", CreationTimestamp: metav1.Unix(1, 0)}, 3))
	next, done := mesh.Build(first, in), make(chan bool)
	go func() {
		w.Publish(next)
		w.attach(newConnection(w.y.proxy))
		w.Synced()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("nobody gets the new mesh")
	}
	if w.x.update.resources() == before {
		t.Error("the proxy at work is not offered the new mesh")
	}
}

// TestUpdateWithoutChangeDoesNotWake: such updates wake no stream, make no proxy out of date, and lose no later change.
func TestUpdateWithoutChangeDoesNotWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		woken := func(c *connection) bool { return len(c.wake) > 0 }
		quiet := func(_, _ *resource.Set) Change { return Change{} }
		c := newConnection(mesh.Proxy{})
		c.setUpdate(1, setOf("1"), unknownChange)
		c.request(&discovery.DeltaDiscoveryRequest{TypeUrl: string(resource.Cluster)})
		r, _ := c.next()
		<-c.wake
		c.request(&discovery.DeltaDiscoveryRequest{TypeUrl: string(resource.Cluster), ResponseNonce: r.GetNonce()})
		c.next()

		c.setUpdate(2, setOf("1"), quiet)
		time.Sleep(time.Hour)
		if woken(c) || !c.synced(time.Now()) {
			t.Errorf("woken: %t, in step: %t, want it left alone", woken(c), c.synced(time.Now()))
		}
		c.setUpdate(3, setOf("2"), func(from, to *resource.Set) Change { return Compare(from, to) })
		c.setUpdate(4, setOf("2"), quiet)
		if !woken(c) {
			t.Error("not woken by a change between two that tell nothing")
		}
		offered := time.Now()
		time.Sleep(time.Second)
		if r, _ := c.next(); describe(r) != "2 cluster +c=2" {
			t.Errorf("told %s, want the new version", describe(r))
		}
		c.setUpdate(5, setOf("2"), quiet)
		if _, done := c.next(); !done.Equal(offered) {
			t.Errorf("told what was offered at %s, want %s", done, offered)
		}
	})
}

// TestRepeatedWildcardIsCheap: a message of 4 MiB may hold a million of them.
func TestRepeatedWildcardIsCheap(t *testing.T) {
	set := &resource.Set{}
	for i := range 5000 {
		set = set.Put(&resource.Resource{Type: resource.Cluster, Name: fmt.Sprint(i), Version: "1"})
	}
	stars := slices.Repeat([]string{"*"}, 200_000)
	s, started := NewSession(set), time.Now()
	for _, r := range []*discovery.DeltaDiscoveryRequest{
		{ResourceNamesSubscribe: stars}, {ResourceNamesUnsubscribe: stars}, {ResourceNamesSubscribe: stars, ResourceNamesUnsubscribe: stars},
	} {
		r.TypeUrl = string(resource.Cluster)
		s.Request(r)
	}
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("three requests of stars took %s", took)
	}
	if r := s.Next(); len(r.GetResources()) != 5000 {
		t.Errorf("told %d clusters, want all", len(r.GetResources()))
	}
}
