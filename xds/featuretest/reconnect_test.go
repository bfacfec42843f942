package featuretest

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// TestReconnectWithoutChangeSendsNothing covers another replica or a restarted pilot as well: a second one is built
// from the same objects and has nothing else in common with the first.
func TestReconnectWithoutChangeSendsNothing(t *testing.T) {
	objects := []string{workload("bookinfo", "reviews", "10.244.0.1"), workload("bookinfo", "ratings", "10.244.0.2")}
	node := sidecar("bookinfo", "reviews", "10.244.0.1")
	first := startPilot(t, objects...).connect(node)
	kept := first.everything()
	first.close()

	p := startPilot(t, objects...)
	c := p.connect(node)
	c.resume(resource.Cluster, kept[resource.Cluster])
	c.resume(resource.Endpoint, kept[resource.Endpoint], outbound(kept[resource.Cluster])...)
	c.resume(resource.Listener, kept[resource.Listener])
	// Silence can't be waited for. A type that is answered always comes after any response of those three.
	c.subscribe(resource.Secret, "kubernetes://none")
	if got := brief(c.accept(resource.Secret)); got != "SDS -kubernetes://none" {
		t.Errorf("first answer is %s", got)
	}
	if got := p.counter("pilot_xds_pushes", "SDS"); got != 1 {
		t.Errorf("pilot_xds_pushes{SDS} = %v, want 1", got)
	}
	for _, typ := range []string{"CDS", "EDS", "LDS", "RDS"} {
		if got := p.counter("pilot_xds_pushes", typ); got != 0 {
			t.Errorf("pilot_xds_pushes{%s} = %v, want 0", typ, got)
		}
	}
	// And it is not forgotten: the next change reaches it, and only that.
	p.apply(endpoints("bookinfo", "ratings", "10.244.0.2", "10.244.0.3"))
	want := []string{"outbound|9080||ratings.bookinfo.svc.cluster.local"}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(versions(c.accept(resource.Endpoint))))); diff != "" {
		t.Errorf("after a change of endpoints (-want +got):\n%s", diff)
	}
}

func TestReconnectSendsChanges(t *testing.T) {
	p := startPilot(t, workload("bookinfo", "reviews", "10.244.0.1"), workload("bookinfo", "ratings", "10.244.0.2"))
	node := sidecar("bookinfo", "reviews", "10.244.0.1")
	first := p.connect(node)
	kept := first.everything()
	first.close()
	p.remove("Service/bookinfo/ratings")
	p.apply(workload("bookinfo", "details", "10.244.0.3"))

	c := p.connect(node)
	c.resume(resource.Cluster, kept[resource.Cluster])
	if got := brief(c.accept(resource.Cluster)); got != "CDS +outbound|9080||details.bookinfo.svc.cluster.local" {
		t.Errorf("first answer is %s", got)
	}
	if got := brief(c.accept(resource.Cluster)); got != "CDS -outbound|9080||ratings.bookinfo.svc.cluster.local" {
		t.Errorf("second answer is %s", got)
	}
}
