package featuretest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"sigs.k8s.io/yaml"

	"github.com/mesh-operator/mesh-operator/internal/envoytest"
)

// TestChangesUnderTraffic moves the traffic of a real Envoy between services that come and go, each time in one change, and
// changes how they are called. No request may fail.
func TestChangesUnderTraffic(t *testing.T) {
	a, b := plainService(t, "a"), plainService(t, "b")
	p := startPilot(t, router("edge", "ingress", "10.1.9.1"), webGateway, a, webRoute("a", ""))
	e := envoytest.Start(t, gatewayBootstrap(t, p.insecure))
	e.WaitLive()
	load := startLoad(t, "http://"+e.Listener("edge"))
	steps := []struct {
		what   string
		change func()
		want   string
	}{
		{"the first service", func() {}, "a"},
		{"a policy", func() { p.apply(rule("a", "{loadBalancer: {simple: RANDOM}}")) }, "a"},
		{"another policy", func() { p.apply(rule("a", "{connectionPool: {http: {maxRequestsPerConnection: 3}}}")) }, "a"},
		{"a service and the way to it", func() { p.apply(b, webRoute("b", "")) }, "b"},
		{"the end of what is unused", func() { p.remove("Service/default/a", "EndpointSlice/default/a", "DestinationRule/default/a") }, "b"},
		{"one service for another", func() {
			delete(p.objects, "Service/default/b")
			delete(p.objects, "EndpointSlice/default/b")
			p.apply(a, webRoute("a", ""))
		}, "a"},
		{"a timeout", func() { p.apply(webRoute("a", "timeout: 5s")) }, "a"},
		{"the way back", func() { p.apply(b, webRoute("b", "")) }, "b"},
	}
	for _, s := range steps {
		s.change()
		seen := load.count()
		e.Eventually("serve "+s.want+" after "+s.what, func() bool { return load.last() == "200 "+s.want && load.count() > seen+20 })
	}
	load.check()
}

const webGateway = `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {namespace: edge, name: web}
spec:
  selector: {istio: ingress}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]`

func webRoute(service, more string) string {
	return fmt.Sprintf(`apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {namespace: default, name: web}
spec:
  hosts: ["*"]
  gateways: [edge/web]
  http:
  - route: [{destination: {host: %s}}]
    %s`, service, more)
}

func rule(service, policy string) string {
	return fmt.Sprintf(`apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {namespace: default, name: %[1]s}
spec: {host: %[1]s, trafficPolicy: %[2]s}`, service, policy)
}

// plainService is a Service with an endpoint outside of the mesh, which answers with the service's name.
func plainService(t *testing.T, name string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) }))
	t.Cleanup(s.Close)
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	return fmt.Sprintf(`apiVersion: v1
kind: Service
metadata: {namespace: default, name: %[1]s}
spec: {clusterIP: 10.96.3.%[2]d, ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: default, name: %[1]s, labels: {kubernetes.io/service-name: %[1]s}}
addressType: IPv4
ports: [{name: http, port: %[3]s}]
endpoints: [{addresses: [127.0.0.1]}]`, name, name[0], port)
}

// gatewayBootstrap has everything but its one listener from pilot: the generated one would listen on every address.
func gatewayBootstrap(t *testing.T, pilot string) *bootstrapv3.Bootstrap {
	t.Helper()
	host, portText, _ := net.SplitHostPort(pilot)
	port, err := strconv.Atoi(portText)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`
node: {id: router~10.1.9.1~ingress-1.edge~edge.svc.cluster.local, cluster: ingress.edge}
dynamic_resources:
  ads_config:
    api_type: DELTA_GRPC
    transport_api_version: V3
    set_node_on_first_message_only: true
    grpc_services: [{envoy_grpc: {cluster_name: xds-grpc}}]
  cds_config: {ads: {}, resource_api_version: V3, initial_fetch_timeout: 0s}
static_resources:
  clusters:
  - name: xds-grpc
    connect_timeout: 5s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
    load_assignment:
      cluster_name: xds-grpc
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: %s, port_value: %d}}}}]}]
  listeners:
  - name: edge
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: edge
          rds: {route_config_name: http.8080, config_source: {ads: {}, resource_api_version: V3, initial_fetch_timeout: 0s}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
`, host, port)
	raw, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	b := &bootstrapv3.Bootstrap{}
	if err := protojson.Unmarshal(raw, b); err != nil {
		t.Fatal(err)
	}
	return b
}

// load asks without a pause and remembers every answer that is not 200.
type load struct {
	t      *testing.T
	mu     sync.Mutex
	n      int
	answer string
	bad    map[string]int
}

func startLoad(t *testing.T, url string) *load {
	l := &load{t: t, bad: map[string]int{}}
	ctx, cancel := context.WithCancel(t.Context())
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			for ctx.Err() == nil {
				l.note(ctx, ask(ctx, url))
			}
		})
	}
	t.Cleanup(func() { cancel(); workers.Wait() })
	return l
}

func ask(ctx context.Context, url string) string {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err.Error()
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d %s", response.StatusCode, body)
}

func (l *load) note(ctx context.Context, answer string) {
	if ctx.Err() != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n++
	l.answer = answer
	if answer != "200 a" && answer != "200 b" {
		l.bad[answer]++
	}
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}

func (l *load) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.answer
}

func (l *load) check() {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.bad) > 0 {
		l.t.Errorf("of %d requests failed: %v", l.n, l.bad)
	}
}
