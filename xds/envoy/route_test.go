package envoy

import (
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/mesh-operator/mesh-operator/internal/golden"
	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// TestNoDomainIsThereTwice lets a rule for hosts that are no services name those of services, in every way that they are
// called. Envoy would refuse the whole route table.
func TestNoDomainIsThereTwice(t *testing.T) {
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
