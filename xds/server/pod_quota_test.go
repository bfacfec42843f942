package server

import (
	"fmt"
	"strings"
	"testing"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

// manyNames are n names that begin with a word.
func manyNames(word string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("outbound|80||%s-%d.svc.cluster.local", word, i)
	}
	return out
}

func versionsOf(names []string) map[string]string {
	out := map[string]string{}
	for _, name := range names {
		out[name] = "0123456789abcdef"
	}
	return out
}

// resourcesOf is a set of one resource of each of some types for every name.
func resourcesOf(version string, names []string, types ...resource.Type) *resource.Set {
	set := &resource.Set{}
	for _, t := range types {
		of := map[string]*resource.Resource{}
		for _, name := range names {
			of[name] = &resource.Resource{Type: t, Name: name, Version: version, Body: &anypb.Any{}}
		}
		set = set.With(t, table.Of(of))
	}
	return set
}

// kept counts what the sessions of a connection remember of names, in all their maps.
func kept(c *connection) int {
	n := 0
	for _, sub := range c.session.types {
		n += len(sub.names) + len(sub.has) + len(sub.dirty) + len(sub.removing) + len(sub.rejected)
	}
	return n
}

// TestPodMemoryIsLimited: a client that accepts no response and names ever more is refused in time, in whatever way it
// names them, and on however many streams.
func TestPodMemoryIsLimited(t *testing.T) {
	const rounds, perRound = 40, 10_000 // far more than there is room for
	cluster, endpoint := string(resource.Cluster), string(resource.Endpoint)
	for way, requests := range map[string]func(names []string) []*discovery.DeltaDiscoveryRequest{
		"Subscribes": func(names []string) []*discovery.DeltaDiscoveryRequest {
			return []*discovery.DeltaDiscoveryRequest{{TypeUrl: endpoint, ResourceNamesSubscribe: names}}
		},
		"SubscribesBesideTheWildcardAndTakesItBack": func(names []string) []*discovery.DeltaDiscoveryRequest {
			return []*discovery.DeltaDiscoveryRequest{
				{TypeUrl: cluster, ResourceNamesSubscribe: []string{"*"}}, {TypeUrl: cluster, ResourceNamesSubscribe: names},
				{TypeUrl: cluster, ResourceNamesUnsubscribe: names},
			}
		},
		"KeptThemFromAnEarlierStream": func(names []string) []*discovery.DeltaDiscoveryRequest {
			return []*discovery.DeltaDiscoveryRequest{
				{TypeUrl: cluster, InitialResourceVersions: versionsOf(names)}, {TypeUrl: string(resource.Listener), InitialResourceVersions: versionsOf(names)},
			}
		},
	} {
		t.Run(way, func(t *testing.T) {
			shared, all := &podQuota{}, 0
			for round := range rounds {
				c := newConnection(mesh.Proxy{})
				c.quota = shared
				c.setUpdate(1, resourcesOf("1", []string{"a"}, resource.Cluster, resource.Endpoint, resource.Listener), unknownChange)
				for _, r := range requests(manyNames(fmt.Sprint(way, round), perRound)) {
					if _, err := c.request(r); err != nil {
						if all < 100_000 {
							t.Errorf("refused with %d entries: %v", all, err)
						}
						return
					}
					c.next() // and never accepted
				}
				all += kept(c)
			}
			t.Errorf("%d entries were taken", all)
		})
	}
}

// TestUnsubscribedNamesAreForgotten: no memory is kept for names that a proxy has unsubscribed, or never got.
func TestUnsubscribedNamesAreForgotten(t *testing.T) {
	c := newConnection(mesh.Proxy{})
	c.setUpdate(1, resourcesOf("1", []string{"a"}, resource.Cluster, resource.Endpoint), unknownChange)
	request := func(t resource.Type, r *discovery.DeltaDiscoveryRequest) error {
		r.TypeUrl = string(t)
		_, err := c.request(r)
		c.next()
		return err
	}
	_ = request(resource.Cluster, &discovery.DeltaDiscoveryRequest{})
	_ = request(resource.Endpoint, &discovery.DeltaDiscoveryRequest{ResourceNamesSubscribe: []string{"a"}})
	before := kept(c)
	for round := range 40 {
		some := manyNames(fmt.Sprint(round), 10_000)
		for _, err := range []error{
			request(resource.Endpoint, &discovery.DeltaDiscoveryRequest{ResourceNamesSubscribe: some}),
			request(resource.Endpoint, &discovery.DeltaDiscoveryRequest{ResourceNamesUnsubscribe: some}),
			request(resource.Cluster, &discovery.DeltaDiscoveryRequest{ResourceNamesUnsubscribe: some}),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if after := kept(c); after != before {
		t.Errorf("%d entries became %d", before, after)
	}
}

// TestClosedStreamReleasesQuota when it has ended.
func TestClosedStreamReleasesQuota(t *testing.T) {
	w := watch(t, mesh.Build(nil, sharingMesh()))
	other := newConnection(w.x.proxy)
	w.attach(other)
	for _, c := range []*connection{w.x, other} {
		_, err := c.request(&discovery.DeltaDiscoveryRequest{TypeUrl: string(resource.Endpoint), ResourceNamesSubscribe: manyNames("x", 50_000)})
		if err != nil {
			t.Fatal(err)
		}
	}
	held := w.x.quota.held.Load()
	w.detach(other)
	if left := w.x.quota.held.Load(); w.x.quota != other.quota || held == 0 || left != held/2 {
		t.Errorf("two streams held %d, one of them holds %d", held, left)
	}
	w.detach(w.x)
	if len(w.quotas) != 1 {
		t.Errorf("%d shares are left, want that of y only", len(w.quotas))
	}
}

// TestSlowProxySurvivesMeshReplacement while a proxy is slow, and while one was away.
func TestSlowProxySurvivesMeshReplacement(t *testing.T) {
	const size = 20_000
	types := []resource.Type{resource.Cluster, resource.Endpoint}
	was, is := resourcesOf("1", manyNames("was", size), types...), resourcesOf("1", manyNames("is", size), types...)
	first := func(c *connection, kept map[string]string) {
		t.Helper()
		for _, r := range []*discovery.DeltaDiscoveryRequest{
			{TypeUrl: string(resource.Cluster), InitialResourceVersions: kept},
			{TypeUrl: string(resource.Endpoint), ResourceNamesSubscribe: manyNames("was", size), InitialResourceVersions: kept},
		} {
			if _, err := c.request(r); err != nil {
				t.Error(err)
			}
		}
	}
	slow := newConnection(mesh.Proxy{})
	slow.setUpdate(1, was, unknownChange)
	first(slow, nil)
	for r := &(discovery.DeltaDiscoveryResponse{}); r != nil; {
		r, _ = slow.next()
	}
	slow.setUpdate(2, is, Compare)
	slow.next()
	if _, err := slow.request(&discovery.DeltaDiscoveryRequest{TypeUrl: string(resource.Endpoint), ResourceNamesSubscribe: manyNames("is", size)}); err != nil {
		t.Error(err)
	}
	back := newConnection(mesh.Proxy{})
	back.setUpdate(1, is, unknownChange)
	first(back, versionsOf(manyNames("was", size)))
	if r, _ := back.next(); len(r.GetResources()) != size {
		t.Errorf("a proxy that was away is told of %d clusters, want all", len(r.GetResources()))
	}
}

// TestPendingRemovalIsNotComparedAgain: a client that accepts no listeners keeps clusters from being removed, and each of its requests
// must not make pilot look at all of them.
func TestPendingRemovalIsNotComparedAgain(t *testing.T) {
	const size = 1000
	c := conversation{t: t, set: resourcesOf("1", []string{"a"}, resource.Cluster, resource.Listener), session: NewSession(nil)}
	c.session.Update(c.set, nil)
	c.session.Request(&discovery.DeltaDiscoveryRequest{TypeUrl: string(resource.Cluster), InitialResourceVersions: versionsOf(manyNames("gone", size))})
	c.answer("request listener")
	c.answer("ack cluster 1")
	if clusters := c.session.types[resource.Cluster]; len(clusters.dirty) != 0 || len(clusters.removing) != size {
		t.Errorf("%d clusters are looked at again and %d wait", len(clusters.dirty), len(clusters.removing))
	}
	c.answer("push cluster/" + manyNames("gone", 1)[0] + "=2") // one is there again
	c.answer("ack cluster 3")
	if removed := strings.Count(strings.Join(c.answer("ack listener 2"), " "), " -"); removed != size-1 {
		t.Errorf("%d clusters are removed, want all but the one", removed)
	}
}

// TestForeignVersionsAreNotStored: a version that pilot never gave is not kept.
func TestForeignVersionsAreNotStored(t *testing.T) {
	s := NewSession(resourcesOf("1", []string{"a"}, resource.Cluster))
	s.Request(&discovery.DeltaDiscoveryRequest{TypeUrl: string(resource.Cluster), InitialResourceVersions: map[string]string{"a": strings.Repeat("1", 1<<20), "b": "1"}})
	for name, version := range s.types[resource.Cluster].has {
		if len(version) > maxVersionLength {
			t.Errorf("%d bytes are kept as the version of %s", len(version), name)
		}
	}
	if r := s.Next(); describe(r) != "1 cluster +a=1" {
		t.Errorf("told %s, want the cluster", describe(r))
	}
}
