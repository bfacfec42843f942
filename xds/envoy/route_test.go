package envoy

import (
	"testing"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/mesh-operator/mesh-operator/internal/golden"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/scope"
)

// TestDomainsAreUnique lets a rule for hosts that are no services name those of services, in every way that they are
// called. Envoy would refuse the whole route table.
func TestDomainsAreUnique(t *testing.T) {
	const text = `
apiVersion: v1
kind: Pod
metadata: {namespace: shop, name: caller}
status: {podIPs: [{ip: 10.1.0.1}]}
---
apiVersion: v1
kind: Service
metadata: {namespace: shop, name: pay}
spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {namespace: svc, name: pay}
spec: {clusterIP: None, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {namespace: shop, name: other}
spec:
  hosts: [pay.shop, pay.shop.svc, pay.svc, pay.svc.svc, "*.pay.svc", "*.pay.svc.svc", 10.96.0.1, free.example.com]
  http: [{route: [{destination: {host: pay}}]}]
`
	set, _ := translate(t, golden.Case{Files: map[string][]byte{"input.yaml": []byte(text), "proxy": []byte("shop/caller")}})
	owners := map[string]string{}
	for _, host := range decode(t, set.Of(resource.Route).Get("80"), &routev3.RouteConfiguration{}).GetVirtualHosts() {
		for _, domain := range host.GetDomains() {
			if owners[domain] != "" {
				t.Errorf("%s is a domain of %s and of %s", domain, owners[domain], host.GetName())
			}
			owners[domain] = host.GetName()
		}
	}
	if owners["free.example.com"] == "" {
		t.Error("a host that is nobody's has no routes")
	}
}

func TestRouteIdleTimeout(t *testing.T) {
	for timeout, want := range map[*durationpb.Duration]time.Duration{
		nil: -1, seconds(0): 0, seconds(10): -1, seconds(300): -1, seconds(301): 301 * time.Second, seconds(3600): time.Hour,
	} {
		got := time.Duration(-1) // what the connection manager says
		if s := routeIdleTimeout(timeout); s != nil {
			got = s.AsDuration()
		}
		if got != want {
			t.Errorf("with timeout %v a request may be silent for %v, want %v", timeout, got, want)
		}
	}
}

// TestOnlyGatewaysHaveStreamIdleTimeout has a route with a long timeout: inside the mesh a WebSocket may be silent for ever.
func TestOnlyGatewaysHaveStreamIdleTimeout(t *testing.T) {
	r := &networking.HTTPRoute{Timeout: seconds(600), Route: []*networking.HTTPRouteDestination{{Destination: &networking.Destination{Host: "x"}}}}
	for edge, want := range map[bool]time.Duration{true: 10 * time.Minute, false: 0} {
		route, err := routeTranslator{v: &scope.VirtualService{VirtualService: &mesh.VirtualService{}}, edge: edge}.route(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := route.GetRoute().GetIdleTimeout(); got.AsDuration() != want || (got == nil) == edge {
			t.Errorf("at the edge %v: a request may be silent for %v, want %v", edge, got, want)
		}
	}
}
