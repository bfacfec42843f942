package envoy

import (
	"fmt"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"

	"github.com/mesh-operator/mesh-operator/internal/envoytest"
	"github.com/mesh-operator/mesh-operator/internal/golden"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/scope"
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

// TestInvalidInputIsQuarantined is about configuration that passes the rules of Envoy's messages and not those of its code:
// what is refused is a whole route table or listener, which holds everybody's.
func TestInvalidInputIsQuarantined(t *testing.T) {
	virtualService := func(rule string) string {
		return "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {namespace: tenant, name: hostile}\n" +
			"spec: {hosts: [shop], http: [{" + rule + ", route: [{destination: {host: shop}}]}]}\n"
	}
	service := func(name string, port int) string {
		return fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata: {namespace: tenant, name: hostile}\n"+
			"spec: {clusterIP: 10.96.0.66, ports: [{name: %s, port: %d}]}\n", name, port)
	}
	gateway := func(port int, host string) string {
		return fmt.Sprintf("apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {namespace: tenant, name: hostile}\n"+
			"spec: {selector: {istio: ingressgateway}, servers: [{port: {number: %d, name: https, protocol: HTTPS}, hosts: [%q], "+
			"tls: {mode: SIMPLE, credentialName: shared}}]}\n", port, host)
	}
	for name, c := range map[string]struct{ proxy, text string }{
		"category by its long name":     {"victim/caller", virtualService(`match: [{uri: {regex: '/\p{Letter}+'}}]`)},
		"class that only Go has":        {"victim/caller", virtualService(`match: [{uri: {regex: '/\p{ASCII}+'}}]`)},
		"header with such a class":      {"victim/caller", virtualService(`match: [{headers: {x-user: {regex: '\P{Lowercase_Letter}'}}}]`)},
		"character above a byte":        {"victim/caller", virtualService(`match: [{uri: {regex: '/[a-\x{10FFFF}]+'}}]`)},
		"octal above a byte":            {"victim/caller", virtualService(`match: [{uri: {regex: '/\777+'}}]`)},
		"service on the health port":    {"victim/caller", service("http", 15021)},
		"service on the metrics port":   {"victim/caller", service("http", 15090)},
		"gateway on the health port":    {"istio-system/router", gateway(15021, "a.example.com")},
		"gateway on the metrics port":   {"istio-system/router", gateway(15090, "a.example.com")},
		"wildcard in an address's zone": {"istio-system/router", gateway(80, "::1%*.x")},
	} {
		t.Run(name, func(t *testing.T) {
			set, _ := translate(t, golden.Case{Files: map[string][]byte{"input.yaml": []byte(victims + c.text), "proxy": []byte(c.proxy)}})
			b := static(t, set)
			addOwnPorts(b)
			envoytest.Validate(t, withoutSharedScopes(t, b))
		})
	}
}

// addOwnPorts adds the two ports that every proxy has before pilot tells it anything.
func addOwnPorts(b *bootstrapv3.Bootstrap) {
	for _, port := range []uint32{15021, 15090} {
		b.StaticResources.Listeners = append(b.StaticResources.Listeners, &listenerv3.Listener{
			Name: "own " + number(port), Address: socketAddress("0.0.0.0", port),
			FilterChains: []*listenerv3.FilterChain{{Filters: (&collector{scope: scope.Scope{Settings: &mesh.Settings{}, Telemetry: &mesh.Telemetry{}}}).tcpChain(sidecarOutbound, agentCluster)}},
		})
	}
}
