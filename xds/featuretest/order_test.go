package featuretest

import (
	"strings"
	"testing"

	"github.com/mesh-operator/mesh-operator/xds/resource"
)

const routeTo = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {namespace: bookinfo, name: reviews}
spec:
  hosts: [reviews]
  http:
  - route: [{destination: {host: TARGET}}]`

// TestMakeBeforeBreak moves a route to a service that is created in the same change, and
// back when that service is deleted.
func TestMakeBeforeBreak(t *testing.T) {
	p := startPilot(t, workload("bookinfo", "reviews", "10.244.0.1"), workload("bookinfo", "productpage", "10.244.0.5"))
	c := p.connect(sidecar("bookinfo", "productpage", "10.244.0.5"))
	c.everything()
	c.subscribe(resource.Route, "9080")
	c.accept(resource.Route)

	p.apply(workload("bookinfo", "ratings", "10.244.0.2"), strings.Replace(routeTo, "TARGET", "ratings", 1))
	clusters := c.next(resource.Cluster)
	if got := brief(clusters); got != "CDS +"+ratings {
		t.Errorf("first comes %s", got)
	}
	// Envoy asks for the endpoints and acknowledges the cluster when it has them. No route came before that.
	c.subscribe(resource.Endpoint, ratings)
	c.accept(resource.Endpoint)
	c.ack(clusters)
	routes := c.next(resource.Route)
	c.ack(routes)

	p.remove("Service/bookinfo/ratings", "VirtualService/bookinfo/reviews")
	routes = c.next(resource.Route)
	c.ack(routes) // only now may the cluster go
	if got := brief(c.accept(resource.Endpoint)); got != "EDS -"+ratings {
		t.Errorf("after the route comes %s", got)
	}
	if got := brief(c.accept(resource.Cluster)); got != "CDS -"+ratings {
		t.Errorf("at last comes %s", got)
	}
}
