package envoy

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/mesh-operator/mesh-operator/internal/envoytest"
)

// TestRequestIsOneTree sends a request through a gateway and the sidecars of two workloads, of which the first calls the
// second with the headers that it got, as applications have to.
func TestRequestIsOneTree(t *testing.T) {
	for name, start := range map[string]func(*testing.T) *testCollector{"zipkin": startZipkin, "otlp": startOTLP} {
		t.Run(name, func(t *testing.T) {
			collector := start(t)
			mesh := startTracedMesh(t, collector.meshConfig(100), false)
			if got := mesh.gateway.getHost(t, "shop.example.com", "/", nil); got.String() != "200 from b" {
				t.Fatalf("answer %v", got)
			}
			collector.eventually(t, "four spans", func() bool { return len(collector.all()) == 4 })
			want := fmt.Sprintf(`istio-ingressgateway.edge CLIENT a.default.svc.cluster.local:80/* upstream=outbound|80||a.default.svc.cluster.local
 a.default SERVER a.default.svc.cluster.local:80/* upstream=inbound|%d||
  a.default CLIENT b.default.svc.cluster.local:80/* upstream=outbound|80||b.default.svc.cluster.local
   b.default SERVER b.default.svc.cluster.local:80/* upstream=inbound|%d||
`, mesh.ports["a"], mesh.ports["b"])
			if got := tree(collector.all()); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			for _, s := range collector.all() {
				service, namespace, _ := strings.Cut(s.service, ".")
				for tag, value := range map[string]string{
					"istio.canonical_service": service, "istio.namespace": namespace, "istio.canonical_revision": "v1",
					"istio.mesh_id": "cluster.local", "istio.cluster_id": "Kubernetes", "component": "proxy", "node_id": "node of " + service,
					"http.status_code": "200", "http.method": "GET",
				} {
					if s.tags[tag] != value {
						t.Errorf("span of %s: tag %s = %q, want %q", s.service, tag, s.tags[tag], value)
					}
				}
			}
		})
	}
}

// TestGatewayDecidesAboutSampling: a client at the edge can neither have its requests traced nor hide them nor add spans to
// another trace, unless the mesh trusts clients; workloads follow the decision of their callers.
func TestGatewayDecidesAboutSampling(t *testing.T) {
	const foreign, control = "463ac35c9f6413ad48485a3953bb6124", "11111111111111111111111111111111"
	b3 := func(trace, sampled string) http.Header {
		return http.Header{"X-B3-Traceid": {trace}, "X-B3-Spanid": {"48485a3953bb6124"}, "X-B3-Sampled": {sampled}}
	}
	forced := b3(foreign, "1")
	forced.Set("X-Client-Trace-Id", "mine")
	w3c := http.Header{"Traceparent": {"00-" + foreign + "-48485a3953bb6124-01"}, "B3": {foreign + "-48485a3953bb6124-1"}}
	for name, c := range map[string]struct {
		sampling float64
		trust    bool
		header   http.Header
		spans    int
		foreign  bool // the trace is the client's
	}{
		"client asks for a trace":         {0, false, forced, 0, false},
		"client asks by traceparent":      {0, false, w3c, 0, false},
		"client hides":                    {100, false, b3(foreign, "0"), 4, false},
		"client writes into a trace":      {100, false, w3c, 4, false},
		"trusted client asks for a trace": {0, true, forced, 4, true},
		"trusted client hides":            {100, true, b3(foreign, "0"), 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			collector := startZipkin(t)
			mesh := startTracedMesh(t, collector.meshConfig(c.sampling), c.trust)
			if got := mesh.gateway.getHost(t, "shop.example.com", "/", c.header); got.status != 200 {
				t.Fatalf("answer %v", got)
			}
			// A workload's caller has decided that this one is traced; its spans come after those of the request before.
			if got := mesh.workload.getHost(t, "a.default", "/", b3(control, "1")); got.status != 200 {
				t.Fatalf("answer %v", got)
			}
			collector.eventually(t, "spans", func() bool { return len(collector.of(control)) == 3 && len(collector.all()) >= 3+c.spans })
			if got := len(collector.all()) - 3; got != c.spans {
				t.Errorf("%d spans of the request, want %d:\n%s", got, c.spans, tree(collector.all()))
			}
			if got := len(collector.of(foreign)) > 0; got != c.foreign {
				t.Errorf("spans in the client's trace: %v, want %v", got, c.foreign)
			}
		})
	}
}

// TestCollectorDownCostsRequestsNothing: with a collector that is not there, one that accepts connections and never answers,
// and one whose name is unknown, every request is answered, and as soon as ever.
func TestCollectorDownCostsRequestsNothing(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, nobody reads
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	for name, address := range map[string]string{
		"refuses connections": fmt.Sprintf("127.0.0.1:%d", envoytest.FreePort(t)),
		"never answers":       silent.Addr().String(),
		"is unknown":          "collector.invalid:9411",
	} {
		for _, provider := range []string{"zipkin", "opentelemetry"} {
			t.Run(provider+" "+name, func(t *testing.T) {
				collector := &testCollector{provider: provider, address: address}
				mesh := startTracedMesh(t, collector.meshConfig(100), false)
				for range 100 {
					begin := time.Now()
					if got := mesh.gateway.getHost(t, "shop.example.com", "/", nil); got.String() != "200 from b" {
						t.Fatalf("answer %v", got)
					}
					if d := time.Since(begin); d > 4*time.Second { // Envoy waits 5 s for the collector
						t.Fatalf("a request took %s", d)
					}
				}
			})
		}
	}
}

// tracedMesh is a gateway in front of workload a, which calls workload b.
type tracedMesh struct {
	gateway  client
	workload client            // the port of a, without the gateway
	ports    map[string]uint32 // of the workloads' sidecars
}

func startTracedMesh(t *testing.T, config string, trust bool, objects ...string) tracedMesh {
	t.Helper()
	m, ca := tracedMesh{ports: map[string]uint32{"a": envoytest.FreePort(t), "b": envoytest.FreePort(t)}}, newAuthority(t)
	text := tracedObjects(m.ports, config, trust) + strings.Join(objects, "")
	b := serveHandler(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "from b") })
	startTraced(t, text, "default/b", "b", b, ca.issue(t, "b"), "virtualInbound")
	var outbound client
	a := serveHandler(t, func(w http.ResponseWriter, r *http.Request) {
		header := http.Header{}
		for _, name := range append([]string{"x-request-id"}, traceContextHeaders...) {
			if v := r.Header.Get(name); v != "" {
				header.Set(name, v)
			}
		}
		got := outbound.getHost(t, "b.default", "/", header)
		w.WriteHeader(cmp.Or(got.status, http.StatusBadGateway))
		fmt.Fprint(w, got.body)
	})
	sidecar := startTraced(t, text, "default/a", "a", a, ca.issue(t, "a"), "virtualInbound", "0.0.0.0_80")
	outbound, m.workload = client{sidecar.Listener("0.0.0.0_80")}, client{sidecar.Listener("virtualInbound")}
	edge := startTraced(t, text, "edge/router", "istio-ingressgateway", "", ca.issue(t, "router"), "0.0.0.0_8080")
	m.gateway = client{edge.Listener("0.0.0.0_8080")}
	return m
}

func serveHandler(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// startTraced runs the proxy of a pod with what the agent gives it beside pilot's configuration: the name of its node's
// cluster, and variables. It reports each span at once.
func startTraced(t *testing.T, text, pod, service, app string, identity *identity, listeners ...string) *envoytest.Envoy {
	t.Helper()
	b := bootstrapFor(t, text, pod)
	identity.install(t, b)
	namespace, _, _ := strings.Cut(pod, "/")
	b.Node.Id, b.Node.Cluster = "node of "+service, service+"."+namespace
	runtime := b.LayeredRuntime.Layers[0].GetStaticLayer().Fields
	runtime["tracing.zipkin.min_flush_spans"] = structpb.NewNumberValue(1)
	runtime["tracing.opentelemetry.min_flush_spans"] = structpb.NewNumberValue(1)
	for name, value := range map[string]string{
		"ISTIO_CANONICAL_SERVICE": service, "ISTIO_CANONICAL_REVISION": "v1", "ISTIO_CLUSTER_ID": "Kubernetes", "POD_NAMESPACE": namespace,
		"OTEL_RESOURCE_ATTRIBUTES": "service.name=" + service + "." + namespace,
	} {
		t.Setenv(name, value)
	}
	for _, c := range b.StaticResources.Clusters {
		if strings.HasPrefix(c.Name, "inbound|") {
			toAddress(c, app)
		}
	}
	keep := map[string]*listenerv3.Listener{}
	for _, l := range b.StaticResources.Listeners {
		keep[l.Name] = l
	}
	b.StaticResources.Listeners = nil
	for _, name := range listeners {
		l := keep[name]
		if l == nil {
			t.Fatalf("there is no listener %s", name)
		}
		if name == "virtualInbound" {
			l.Address = envoytest.Loopback(l.FilterChains[1].GetFilterChainMatch().GetDestinationPort().GetValue())
		} else {
			l.Address, l.BindToPort = envoytest.Loopback(0), nil
		}
		b.StaticResources.Listeners = append(b.StaticResources.Listeners, l)
	}
	e := envoytest.Start(t, b)
	e.WaitLive()
	return e
}

func tracedObjects(ports map[string]uint32, config string, trust bool) string {
	text := fmt.Sprintf(`
apiVersion: v1
kind: ConfigMap
metadata: {namespace: istio-system, name: istio}
data:
  trustClientTraces: "%v"
  mesh: |
    %s
---
apiVersion: v1
kind: Service
metadata: {namespace: edge, name: istio-ingressgateway}
spec: {clusterIP: 10.96.0.11, selector: {istio: ingressgateway}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
`+routerPod+`---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {namespace: default, name: gateway}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [shop.example.com]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {namespace: default, name: shop}
spec: {hosts: [shop.example.com], gateways: [gateway], http: [{route: [{destination: {host: a}}]}]}
`, trust, config)
	for name, port := range ports {
		text += fmt.Sprintf(`---
apiVersion: v1
kind: Service
metadata: {namespace: default, name: %[1]s}
spec: {clusterIP: 10.96.0.2%[3]d, selector: {app: %[1]s}, ports: [{name: http, port: 80, targetPort: %[2]d}]}
---
apiVersion: v1
kind: Pod
metadata: {namespace: default, name: %[1]s, labels: {app: %[1]s, security.istio.io/tlsMode: istio}}
spec: {serviceAccountName: %[1]s}
status: {podIPs: [{ip: 127.0.0.1}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: default, name: %[1]s-1, labels: {kubernetes.io/service-name: %[1]s}}
addressType: IPv4
ports: [{name: http, port: %[2]d}]
endpoints: [{addresses: [127.0.0.1], targetRef: {kind: Pod, name: %[1]s}}]
`, name, port, len(text)%7)
	}
	return text
}
