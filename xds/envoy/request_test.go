package envoy

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"

	"github.com/mesh-operator/mesh-operator/internal/envoytest"
	"github.com/mesh-operator/mesh-operator/internal/golden"
)

// TestRequestsFollowRules sends requests through a real Envoy that has what is generated for the caller.
func TestRequestsFollowRules(t *testing.T) {
	versions := map[string]string{}
	for _, v := range []string{"v1", "v2", "v3"} {
		versions[v] = serve(t, v)
	}
	client := startOutbound(t, reviewsMesh(versions)+`
---
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata: {namespace: default, name: reviews}
spec:
  host: reviews
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
  - {name: v3, labels: {version: v3}}
---
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {namespace: default, name: reviews}
spec:
  hosts: [reviews]
  http:
  - match: [{headers: {cookie: {regex: "^(.*?;)?(user=jason)(;.*)?$"}}}]
    fault: {abort: {percent: 100, httpStatus: 500}}
    route: [{destination: {host: reviews, subset: v1}}]
  - match: [{headers: {end-user: {exact: jason}}}]
    route: [{destination: {host: reviews, subset: v3}}]
  - match: [{uri: {prefix: /slow}}]
    fault: {delay: {percent: 100, fixedDelay: 0.3s}}
    route: [{destination: {host: reviews, subset: v1}}]
  - match: [{uri: {prefix: /api}}]
    rewrite: {uri: /}
    route: [{destination: {host: reviews, subset: v1}}]
  - match: [{uri: {exact: /old}}]
    redirect: {uri: /new}
  - route:
    - {destination: {host: reviews, subset: v1}, weight: 75}
    - {destination: {host: reviews, subset: v2}, weight: 25}
`, "0.0.0.0_9080", newAuthority(t).issue(t, "client"))
	t.Run("weights", func(t *testing.T) {
		seen := map[string]int{}
		for range 400 {
			seen[strings.Fields(client.get(t, "/", nil).body)[0]]++
		}
		// 400 draws of 1/4: five standard deviations are 43
		if seen["v2"] < 57 || seen["v2"] > 143 || seen["v1"]+seen["v2"] != 400 {
			t.Errorf("shares %v, want about 300 of v1 and 100 of v2", seen)
		}
	})
	for name, c := range map[string]struct {
		path   string
		header http.Header
		want   string
	}{
		"header":          {"/", http.Header{"End-User": {"jason"}}, "200 v3 /"},
		"cookie aborts":   {"/", http.Header{"Cookie": {"a=b;user=jason;c=d"}}, "500 fault filter abort"},
		"rewrite":         {"/api/v1", nil, "200 v1 /v1"},
		"redirect":        {"/old", nil, "301 "},
		"escaped slashes": {"/a%2fb", nil, "307 "},
		"dots":            {"/api/x/../../api/y", nil, "200 v1 /y"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := client.get(t, c.path, c.header).String(); got != c.want {
				t.Errorf("GET %s = %q, want %q", c.path, got, c.want)
			}
		})
	}
	t.Run("delay", func(t *testing.T) {
		begin := time.Now() // Envoy's timers go by the time at which its loop woke up, so 300 ms may be a few less
		if got := client.get(t, "/slow", nil).String(); got != "200 v1 /slow" || time.Since(begin) < 200*time.Millisecond {
			t.Errorf("%q after %s, want an answer of v1 after 300 ms", got, time.Since(begin))
		}
	})
	t.Run("unknown host", func(t *testing.T) {
		if got := client.getHost(t, "nobody.example.com", "/", nil).status; got != http.StatusBadGateway {
			t.Errorf("status %d, want 502", got)
		}
	})
}

// reviewsMesh has a Service reviews with an endpoint outside of the mesh for each version.
func reviewsMesh(addresses map[string]string) string {
	text := `
apiVersion: v1
kind: Service
metadata: {namespace: default, name: reviews}
spec: {clusterIP: 10.96.0.12, ports: [{name: http, port: 9080}]}
---
apiVersion: v1
kind: Pod
metadata: {namespace: default, name: client, labels: {security.istio.io/tlsMode: istio}}
spec: {serviceAccountName: client}
status: {podIPs: [{ip: 127.0.0.1}]}
`
	for version, address := range addresses {
		text += endpointYAML("reviews", version, address, map[string]string{"version": version})
	}
	return text
}

func endpointYAML(service, pod, address string, labels map[string]string) string {
	host, port, _ := net.SplitHostPort(address)
	var pairs []string
	for k, v := range labels {
		pairs = append(pairs, k+": "+v)
	}
	return fmt.Sprintf(`---
apiVersion: v1
kind: Pod
metadata: {namespace: default, name: %[2]s, labels: {%[5]s}}
spec: {serviceAccountName: %[1]s}
status: {podIPs: [{ip: %[3]s}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: default, name: %[1]s-%[2]s, labels: {kubernetes.io/service-name: %[1]s}}
addressType: IPv4
ports: [{name: http, port: %[4]s}]
endpoints: [{addresses: [%[3]s], targetRef: {kind: Pod, name: %[2]s}}]
`, service, pod, host, port, strings.Join(pairs, ", "))
}

// serve answers every request with a name, the path and the client certificate of the forwarded header.
func serve(t *testing.T, name string) (address string) {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s%s", name, r.URL.Path, r.Header.Get("X-Forwarded-Client-Cert"))
	}))
	s.Config.Protocols = &http.Protocols{}
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func bootstrapFor(t *testing.T, text, proxy string) *bootstrapv3.Bootstrap {
	t.Helper()
	set, problems := translate(t, golden.Case{Files: map[string][]byte{"input.yaml": []byte(text), "proxy": []byte(proxy)}})
	if len(problems) > 0 {
		t.Fatalf("problems: %v", problems)
	}
	return static(t, set)
}

// TestMutualTLS lets two Envoys talk that have what is generated for a caller and for the workload it calls.
func TestMutualTLS(t *testing.T) {
	ca := newAuthority(t)
	for name, c := range map[string]struct {
		port   string // its name declares the protocol
		mode   string
		server string // the account that the server really runs as
		client answer
		plain  answer
	}{
		"strict":             {"http", "STRICT", "server", answer{200, "app /" + xfcc}, closed},
		"permissive":         {"http", "PERMISSIVE", "server", answer{200, "app /" + xfcc}, answer{200, "app /"}},
		"disabled":           {"http", "DISABLE", "server", answer{200, "app /"}, answer{200, "app /"}},
		"strict http2":       {"http2", "STRICT", "server", answer{200, "app /" + xfcc}, closed},
		"permissive http2":   {"grpc", "PERMISSIVE", "server", answer{200, "app /" + xfcc}, answer{200, "app /"}},
		"strict tcp":         {"tcp", "STRICT", "server", answer{200, "app /"}, closed},
		"permissive tcp":     {"tcp", "PERMISSIVE", "server", answer{200, "app /"}, answer{200, "app /"}},
		"another's identity": {"http", "STRICT", "impostor", answer{503, "upstream connect error"}, closed},
	} {
		t.Run(name, func(t *testing.T) {
			log := filepath.Join(t.TempDir(), "access.log")
			port := envoytest.FreePort(t)
			text := pairMesh(port, c.port, c.mode, log)
			address, server := startServer(t, text, port, ca.issue(t, c.server))
			listener := "0.0.0.0_80"
			if c.port == "tcp" {
				listener = "10.96.0.20_80"
			}
			caller := startOutbound(t, text, listener, ca.issue(t, "client"))
			got := caller.getHost(t, "server.default", "/", nil)
			if got.status != c.client.status || !strings.HasPrefix(got.body, c.client.body) && !strings.Contains(got.body, c.client.body) {
				t.Errorf("through the mesh: %v, want %v", got, c.client)
			}
			if got.status == 200 && c.mode != "DISABLE" {
				wantLogged(server, log, "peer=spiffe://cluster.local/ns/default/sa/client local=spiffe://cluster.local/ns/default/sa/server")
			}
			forged := http.Header{"X-Forwarded-Client-Cert": {"URI=spiffe://forged"}}
			if c.port == "tcp" {
				forged = nil // bytes are passed on as they are
			}
			plain := client{address}.getHost(t, "server", "/", forged)
			if plain.status != c.plain.status || plain.status != 0 && plain != c.plain {
				t.Errorf("in the clear: %v, want %v", plain, c.plain)
			}
			if c.mode == "STRICT" {
				wantLogged(server, log, " 0 NR ")
			}
			if err := dialTLS(address); err == nil {
				t.Error("TLS without a certificate gets an answer")
			}
		})
	}
}

// xfcc is the beginning of the header with the identity of the client; the rest of its value differs.
const xfcc = "By=spiffe://cluster.local/ns/default/sa/server;"

// closed is a connection that was ended without an answer.
var closed = answer{}

func pairMesh(port uint32, name, mode, log string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: ConfigMap
metadata: {namespace: istio-system, name: istio}
data: {mesh: 'accessLogFile: %[4]s'}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {namespace: istio-system, name: default}
spec: {mtls: {mode: %[3]s}}
---
apiVersion: v1
kind: Service
metadata: {namespace: default, name: server}
spec: {clusterIP: 10.96.0.20, selector: {app: server}, ports: [{name: %[2]s, port: 80, targetPort: %[1]d}]}
---
apiVersion: v1
kind: Service
metadata: {namespace: default, name: other}
spec: {clusterIP: 10.96.0.21, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {namespace: default, name: server, labels: {app: server, security.istio.io/tlsMode: istio}}
spec: {serviceAccountName: server}
status: {podIPs: [{ip: 127.0.0.1}]}
---
apiVersion: v1
kind: Pod
metadata: {namespace: default, name: client, labels: {security.istio.io/tlsMode: istio}}
spec: {serviceAccountName: client}
status: {podIPs: [{ip: 127.0.0.1}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: default, name: server-1, labels: {kubernetes.io/service-name: server}}
addressType: IPv4
ports: [{name: %[2]s, port: %[1]d}]
endpoints: [{addresses: [127.0.0.1], targetRef: {kind: Pod, name: server}}]
`, port, name, mode, log)
}

// startServer runs virtualInbound on the workload's own port, where connections arrive when nothing redirects them, and
// sends what passes to an application.
func startServer(t *testing.T, text string, port uint32, identity *identity) (address string, e *envoytest.Envoy) {
	t.Helper()
	return startServerFor(t, text, port, identity, serve(t, "app"))
}

func startServerFor(t *testing.T, text string, port uint32, identity *identity, app string) (address string, e *envoytest.Envoy) {
	t.Helper()
	b := bootstrapFor(t, text, "default/server")
	identity.install(t, b)
	for _, c := range b.StaticResources.Clusters {
		if strings.HasPrefix(c.Name, "inbound|") {
			toAddress(c, app)
		}
	}
	for _, l := range b.StaticResources.Listeners {
		if l.Name == "virtualInbound" {
			l.Address = envoytest.Loopback(port)
			b.StaticResources.Listeners = []*listenerv3.Listener{l}
		}
	}
	e = envoytest.Start(t, b)
	e.WaitLive()
	return e.Listener("virtualInbound"), e
}

func toAddress(c *clusterv3.Cluster, address string) {
	_, port, _ := net.SplitHostPort(address)
	var number uint32
	_, _ = fmt.Sscan(port, &number)
	c.ClusterDiscoveryType, c.LbPolicy, c.UpstreamBindConfig = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}, clusterv3.Cluster_ROUND_ROBIN, nil
	c.LoadAssignment = &endpointv3.ClusterLoadAssignment{ClusterName: c.Name, Endpoints: []*endpointv3.LocalityLbEndpoints{{
		LbEndpoints: []*endpointv3.LbEndpoint{{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: envoytest.Loopback(number)}}}},
	}}}
}

func dialTLS(address string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	dialer := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
	connection, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = io.WriteString(connection, "GET / HTTP/1.0\r\n\r\n")
	_, err = bufio.NewReader(connection).ReadString('\n') // TLS 1.3 tells a missing certificate only now
	return err
}

func wantLogged(e *envoytest.Envoy, path, want string) {
	e.Eventually("log "+want, func() bool {
		text, _ := os.ReadFile(path)
		return strings.Contains(string(text), want)
	})
}
