package featuretest

import (
	"strings"
	"testing"

	"github.com/mesh-operator/mesh-operator/xds/resource"
)

const faultFor = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {namespace: bookinfo, name: ratings}
spec:
  hosts: [ratings]
  http:
  - fault: {abort: {percentage: {value: 100}, httpStatus: STATUS}}
    route: [{destination: {host: ratings}}]`

// TestRejectionNamesObject has a proxy that rejects the routes made from one VirtualService.
func TestRejectionNamesObject(t *testing.T) {
	p := startPilot(t, workload("bookinfo", "reviews", "10.244.0.1"), workload("bookinfo", "ratings", "10.244.0.2"))
	c := p.connect(sidecar("bookinfo", "reviews", "10.244.0.1"))
	c.subscribe(resource.Route, "9080")
	good := c.accept(resource.Route)

	p.apply(strings.Replace(faultFor, "STATUS", "500", 1))
	bad := c.next(resource.Route)
	c.nack(bad, "the proxy's words")
	// What was rejected is not sent again; the next content is. It comes after the NACK was taken.
	p.apply(strings.Replace(faultFor, "STATUS", "503", 1))
	next := c.accept(resource.Route)
	if got := versions(next)["9080"]; got == versions(bad)["9080"] || got == "" {
		t.Errorf("after the NACK of %s comes %s", versions(bad)["9080"], got)
	}
	if got := p.counter("pilot_total_xds_rejects", "RDS"); got != 1 {
		t.Errorf("pilot_total_xds_rejects{RDS} = %v, want 1", got)
	}
	for _, words := range []string{"VirtualService/bookinfo/ratings", "the proxy's words", "reviews-1"} {
		if !strings.Contains(p.log.String(), words) {
			t.Errorf("the log does not say %q:\n%s", words, p.log)
		}
	}
	p.remove("VirtualService/bookinfo/ratings")
	if got := versions(c.accept(resource.Route))["9080"]; got != versions(good)["9080"] {
		t.Errorf("without the VirtualService the version is %s, want the first one again", got)
	}
}

// TestLongRejectionIsTruncated is about a client whose reason fills a message of 4 MiB: it is searched for the name of every
// resource that was sent, and logged.
func TestLongRejectionIsTruncated(t *testing.T) {
	p := startPilot(t, workload("bookinfo", "reviews", "10.244.0.1"))
	c := p.connect(sidecar("bookinfo", "reviews", "10.244.0.1"))
	c.subscribe(resource.Cluster)
	c.nack(c.next(resource.Cluster), strings.Repeat("x", 1<<20))
	c.next(resource.Cluster) // tried again, after the NACK was taken
	if n := len(p.log.String()); n > 100<<10 {
		t.Errorf("the log has %d bytes", n)
	}
}
