package envoy

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/mesh-operator/mesh-operator/internal/envoytest"
)

// routerPod is a gateway without certificates of the mesh, whose Envoy runs on this machine; reviewsService is what it leads to.
const (
	routerPod = `apiVersion: v1
kind: Pod
metadata: {namespace: edge, name: router, labels: {istio: ingressgateway}}
spec: {containers: [{name: istio-proxy, args: [proxy, router]}]}
status: {podIPs: [{ip: 127.0.0.1}]}
`
	reviewsService = `apiVersion: v1
kind: Service
metadata: {namespace: default, name: reviews}
spec: {clusterIP: 10.96.0.12, ports: [{name: http, port: 9080}]}
`
)

// TestGatewayUntrustedClients sends requests through a real Envoy that has what is generated for a router.
func TestGatewayUntrustedClients(t *testing.T) {
	believed := []string{"X-Istio-Attributes", "X-Envoy-Decorator-Operation", "X-Envoy-Max-Retries", "X-Forwarded-Client-Cert", "X-Envoy-Original-Path", "X_forwarded_client_cert"}
	var failed atomic.Bool
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/fails-once") && !failed.Swap(true) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		for _, name := range believed {
			if v := r.Header.Get(name); v != "" {
				fmt.Fprintf(w, "%s=%s ", name, v)
			}
		}
		fmt.Fprint(w, r.URL.Path)
	}))
	t.Cleanup(app.Close)
	gateway := startRouter(t, app.Listener.Addr().String())
	forged := http.Header{}
	for _, name := range believed {
		forged.Set(name, "1")
	}
	for name, c := range map[string]struct {
		host, path string
		header     http.Header
		want       answer
	}{
		"known":            {"shop.example.com", "/productpage", nil, answer{200, "/productpage"}},
		"port in host":     {"shop.example.com:31380", "/productpage", nil, answer{200, "/productpage"}},
		"dot after host":   {"SHOP.example.com.", "/productpage", nil, answer{200, "/productpage"}},
		"unknown host":     {"other.example.com", "/productpage", nil, answer{404, ""}},
		"unknown path":     {"shop.example.com", "/admin", nil, answer{404, ""}},
		"path in disguise": {"shop.example.com", "/productpage/..//admin", nil, answer{404, ""}},
		"escaped slashes":  {"shop.example.com", "/productpage%2F..%2Fadmin", nil, answer{307, ""}},
		"fragment":         {"shop.example.com", "/productpage#/../admin", nil, answer{400, ""}},
		"forged headers":   {"shop.example.com", "/productpage", forged, answer{200, "/productpage"}},
		"a wish to retry":  {"shop.example.com", "/productpage/fails-once", http.Header{"X-Envoy-Retry-On": {"5xx"}}, answer{503, "/productpage/fails-once"}},
		"redirected":       {"secure.example.com", "/x", nil, answer{301, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := gateway.getHost(t, c.host, c.path, c.header); got != c.want {
				t.Errorf("GET %s of %s = %v, want %v", c.path, c.host, got, c.want)
			}
		})
	}
}

// TestGatewayHostForms has a Gateway without selector with hosts in all forms that DNS takes for one, and wildcards within a label.
func TestGatewayHostForms(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }))
	t.Cleanup(app.Close)
	b := bootstrapFor(t, reviewsService+"---\n"+routerPod+`---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {namespace: default, name: gateway}
spec:
  servers:
  - port: {number: 80, name: HTTP-Web, protocol: HTTP}
    hosts: [Shop.Example.com., "./*-eu.example.com", "*foo.bar"]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {namespace: default, name: shop}
spec:
  hosts: [SHOP.example.com, "*-EU.example.com", a.foo.bar.]
  gateways: [gateway]
  http:
  - match: [{gateways: [default/gateway]}]
    route: [{destination: {host: Reviews.default.svc.cluster.local.}}]
`+endpointYAML("reviews", "v1", app.Listener.Addr().String(), nil), "edge/router")
	gateway := startRouterOf(t, b)
	for host, want := range map[string]int{
		"shop.example.com": 200, "SHOP.EXAMPLE.COM": 200, "web-eu.example.com": 200, "web-us.example.com": 404, "a.foo.bar": 200, "xfoo.bar": 404, "foo.bar": 404,
	} {
		if got := gateway.getHost(t, host, "/", nil); got.status != want {
			t.Errorf("GET / of %s = %v, want %d", host, got, want)
		}
	}
}

// TestGatewayStreamIdleTimeout has two requests whose answers never begin, at a gateway that is made impatient: it ends the one, and
// the other, of a rule without a timeout, goes on although it is the older one.
func TestGatewayStreamIdleTimeout(t *testing.T) {
	begun, release := make(chan bool), make(chan bool)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/events") {
			begun <- true
			<-release
			return
		}
		<-r.Context().Done()
	}))
	t.Cleanup(app.Close)
	gateway := startRouter(t, app.Listener.Addr().String(), func(b *bootstrapv3.Bootstrap) {
		eachChain(b.StaticResources.Listeners[0], func(chain *listenerv3.FilterChain) {
			m, f := hcmOf(t, chain)
			m.StreamIdleTimeout = durationpb.New(100 * time.Millisecond)
			f.ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: pack(m)}
		})
	})
	events := make(chan answer)
	go func() { events <- gateway.getHost(t, "shop.example.com", "/events", nil) }()
	<-begun
	if got := gateway.getHost(t, "shop.example.com", "/productpage", nil); got.status != http.StatusGatewayTimeout {
		t.Errorf("a request that nothing is heard of ends with %v", got)
	}
	close(release)
	if got := <-events; got.status != http.StatusOK {
		t.Errorf("a request that has no timeout ends with %v", got)
	}
}

// TestGatewayRetriesUploads: a gateway tries another server when one cannot be reached, also for a request with a body.
func TestGatewayRetriesUploads(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	}))
	t.Cleanup(app.Close)
	gateway := startRouter(t, app.Listener.Addr().String(), withDeadEndpoint)
	const size = 500 << 10
	for range 20 {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+gateway.address+"/productpage", bytes.NewReader(make([]byte, size)))
		if err != nil {
			t.Fatal(err)
		}
		request.Host = "shop.example.com"
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if got, want := (answer{response.StatusCode, string(body)}), (answer{200, fmt.Sprint(size)}); got != want {
			t.Errorf("an upload beside a server that is dead: %v, want %v", got, want)
		}
	}
}

// withDeadEndpoint adds an endpoint on which nothing listens to every cluster of the service.
func withDeadEndpoint(b *bootstrapv3.Bootstrap) {
	for _, c := range b.StaticResources.Clusters {
		if strings.HasPrefix(c.Name, "outbound|") && c.LoadAssignment != nil {
			all := c.LoadAssignment.Endpoints[0]
			all.LbEndpoints = append(all.LbEndpoints, &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
				Endpoint: &endpointv3.Endpoint{Address: envoytest.Loopback(1)},
			}})
		}
	}
}

func startRouter(t *testing.T, app string, change ...func(*bootstrapv3.Bootstrap)) client {
	t.Helper()
	b := bootstrapFor(t, reviewsService+"---\n"+routerPod+`---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {namespace: default, name: gateway}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: [shop.example.com]
  - port: {number: 80, name: http-secure, protocol: HTTP}
    hosts: [secure.example.com]
    tls: {httpsRedirect: true}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {namespace: default, name: shop}
spec:
  hosts: [shop.example.com]
  gateways: [gateway]
  http:
  - match: [{uri: {prefix: /productpage}}]
    route: [{destination: {host: reviews}}]
  - match: [{uri: {prefix: /events}}]
    timeout: 0s
    route: [{destination: {host: reviews}}]
`+endpointYAML("reviews", "v1", app, nil), "edge/router")
	return startRouterOf(t, b, change...)
}

func startRouterOf(t *testing.T, b *bootstrapv3.Bootstrap, change ...func(*bootstrapv3.Bootstrap)) client {
	t.Helper()
	newAuthority(t).issue(t, "router").install(t, b)
	b.StaticResources.Listeners[0].Address = envoytest.Loopback(0)
	name := b.StaticResources.Listeners[0].Name
	for _, c := range change {
		c(b)
	}
	e := envoytest.Start(t, b)
	e.WaitLive()
	return client{e.Listener(name)}
}
