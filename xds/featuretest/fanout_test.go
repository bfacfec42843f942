package featuretest

import (
	"fmt"
	"testing"

	"github.com/mesh-operator/mesh-operator/xds/resource"
)

const ratings = "outbound|9080||ratings.bookinfo.svc.cluster.local"

func TestPushSendsOnlyChanges(t *testing.T) {
	p := startPilot(t, workload("bookinfo", "reviews", "10.244.0.1"), workload("bookinfo", "ratings", "10.244.0.2"))
	c := p.connect(sidecar("bookinfo", "reviews", "10.244.0.1"))
	c.everything()
	p.apply(endpoints("bookinfo", "ratings", "10.244.0.2", "10.244.0.3"))
	if got := brief(c.accept(resource.Endpoint)); got != "EDS +"+ratings {
		t.Errorf("a new endpoint sends %s", got)
	}
	p.publish() // nothing changed
	p.apply(endpoints("bookinfo", "ratings", "10.244.0.2"))
	if got := brief(c.accept(resource.Endpoint)); got != "EDS +"+ratings {
		t.Errorf("an endpoint less sends %s", got)
	}
	if got := p.counter("pilot_xds_pushes", "EDS"); got != 3 {
		t.Errorf("pilot_xds_pushes{EDS} = %v, want 3", got)
	}
	if got := p.counter("pilot_xds"); got != 1 {
		t.Errorf("pilot_xds = %v, want 1", got)
	}
}

// TestSlowProxyDoesNotBlockOthers has one proxy that acknowledges nothing while pilot publishes on.
func TestSlowProxyDoesNotBlockOthers(t *testing.T) {
	p := startPilot(t, workload("bookinfo", "reviews", "10.244.0.1"), workload("bookinfo", "ratings", "10.244.0.2"))
	slow, quick := p.connect(sidecar("bookinfo", "reviews", "10.244.0.1")), p.connect(sidecar("bookinfo", "ratings", "10.244.0.2"))
	quick.everything()
	slow.subscribe(resource.Endpoint, ratings)
	first := slow.next(resource.Endpoint) // and no ACK

	const changes = 50
	for i := range changes {
		p.apply(endpoints("bookinfo", "ratings", "10.244.0.2", fmt.Sprintf("10.244.1.%d", i)))
		quick.accept(resource.Endpoint)
	}
	slow.ack(first)
	second := slow.accept(resource.Endpoint)
	if got, want := versions(second)[ratings], newest(t, p)[ratings]; got != want {
		t.Errorf("the slow proxy has version %s after its second response, the newest is %s", got, want)
	}
	// The next response is the next change: nothing was queued in between.
	p.apply(endpoints("bookinfo", "ratings", "10.244.0.2"))
	if got, want := versions(slow.accept(resource.Endpoint))[ratings], versions(first)[ratings]; got != want {
		t.Errorf("after the change is undone the version is %s, want the first one, %s", got, want)
	}
}

// newest asks on a stream of its own for what is current.
func newest(t *testing.T, p *pilot) map[string]string {
	t.Helper()
	c := p.connect(sidecar("bookinfo", "ratings", "10.244.0.2"))
	defer c.close()
	c.subscribe(resource.Endpoint, ratings)
	return versions(c.accept(resource.Endpoint))
}

// TestNonReadingProxyDoesNotBlockOthers has one proxy that takes nothing from its connection.
func TestNonReadingProxyDoesNotBlockOthers(t *testing.T) {
	objects := []string{}
	for i := range 200 {
		objects = append(objects, workload("bookinfo", fmt.Sprintf("service-%d", i), fmt.Sprintf("10.244.%d.%d", 2+i/100, 1+i%100)))
	}
	p := startPilot(t, append(objects, workload("bookinfo", "ratings", "10.244.0.2"))...)
	stuck := p.connectWithoutReading(sidecar("bookinfo", "service-0", "10.244.2.1"))
	stuck.subscribe(resource.Cluster)
	stuck.subscribe(resource.Listener)
	quick := p.connect(sidecar("bookinfo", "ratings", "10.244.0.2"))
	quick.everything()
	for i := range 20 {
		p.apply(endpoints("bookinfo", "ratings", "10.244.0.2", fmt.Sprintf("10.244.9.%d", i)))
		quick.accept(resource.Endpoint)
	}
}
