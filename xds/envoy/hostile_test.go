package envoy

import (
	"testing"

	"github.com/mesh-operator/mesh-operator/internal/envoytest"
	"github.com/mesh-operator/mesh-operator/internal/golden"
)

// victims is a namespace that owns nothing of what a case adds: a workload that calls, and a gateway that all share.
const victims = `
apiVersion: v1
kind: Pod
metadata: {namespace: victim, name: caller}
status: {podIPs: [{ip: 10.1.0.1}]}
---
apiVersion: v1
kind: Pod
metadata: {namespace: istio-system, name: router, labels: {istio: ingressgateway}}
spec: {containers: [{name: istio-proxy, args: [proxy, router]}]}
status: {podIPs: [{ip: 10.1.0.2}]}
---
apiVersion: v1
kind: Service
metadata: {namespace: tenant, name: shop}
spec: {clusterIP: 10.96.0.50, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Secret
metadata: {namespace: istio-system, name: shared}
stringData: {tls.crt: A CERTIFICATE, tls.key: ITS KEY}
---
`

// TestNoTenantMakesEnvoyRefuse is about configuration that passes the rules of Envoy's messages and not those of its code:
// what is refused is a whole route table or listener, which holds everybody's.
func TestNoTenantMakesEnvoyRefuse(t *testing.T) {
	virtualService := func(rule string) string {
		return "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {namespace: tenant, name: hostile}\n" +
			"spec: {hosts: [shop], http: [{" + rule + ", route: [{destination: {host: shop}}]}]}\n"
	}
	for name, c := range map[string]struct{ proxy, text string }{
		"category by its long name": {"victim/caller", virtualService(`match: [{uri: {regex: '/\p{Letter}+'}}]`)},
		"class that only Go has":    {"victim/caller", virtualService(`match: [{uri: {regex: '/\p{ASCII}+'}}]`)},
		"header with such a class":  {"victim/caller", virtualService(`match: [{headers: {x-user: {regex: '\P{Lowercase_Letter}'}}}]`)},
		"character above a byte":    {"victim/caller", virtualService(`match: [{uri: {regex: '/[a-\x{10FFFF}]+'}}]`)},
		"octal above a byte":        {"victim/caller", virtualService(`match: [{uri: {regex: '/\777+'}}]`)},
	} {
		t.Run(name, func(t *testing.T) {
			set, _ := translate(t, golden.Case{Files: map[string][]byte{"input.yaml": []byte(victims + c.text), "proxy": []byte(c.proxy)}})
			envoytest.Validate(t, static(t, set))
		})
	}
}
