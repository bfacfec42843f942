package envoy

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mesh-operator/mesh-operator/internal/envoytest"
)

// TestHTTP1Clients sends requests that real clients send and Envoy refuses by default, to a sidecar on both sides and to a
// gateway.
func TestHTTP1Clients(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s%s", r.Method, r.Host, r.Header.Get("Upgrade"))
	}))
	t.Cleanup(app.Close)
	ca, port := newAuthority(t), envoytest.FreePort(t)
	text := pairMesh(port, "http", "PERMISSIVE", "/dev/null")
	inbound, _ := startServerFor(t, text, port, ca.issue(t, "server"), app.Listener.Addr().String())
	outbound := startOutbound(t, text, "0.0.0.0_80", ca.issue(t, "client")).address
	gateway := startRouter(t, app.Listener.Addr().String()).address
	const upgrade = "Host: shop.example.com\r\nConnection: Upgrade\r\nUpgrade: "
	const inMesh = "Host: server.default\r\n"
	for name, c := range map[string]struct{ address, request, want string }{
		"TLS/1.2 at the gateway":           {gateway, "GET /productpage HTTP/1.1\r\n" + upgrade + "TLS/1.2\r\n", "200 GET shop.example.com"},
		"SPDY at the gateway":              {gateway, "POST /productpage HTTP/1.1\r\n" + upgrade + "SPDY/3.1\r\nContent-Length: 0\r\n", "200 POST shop.example.com"},
		"TLS/1.2 at the sidecar":           {outbound, "GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: TLS/1.2, TLS/1.0\r\n" + inMesh, "200 GET server.default"},
		"tcp at the sidecar":               {outbound, "GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n" + inMesh, "200 GET server.default"},
		"h2c at the sidecar":               {outbound, "GET / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAAA\r\n" + inMesh, "200 GET server.default"},
		"TLS/1.2 at the workload":          {inbound, "GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: TLS/1.2\r\n" + inMesh, "200 GET server.default"},
		"LIST at the gateway":              {gateway, "LIST /productpage HTTP/1.1\r\nHost: shop.example.com\r\n", "200 LIST shop.example.com"},
		"QUERY through both sidecars":      {outbound, "QUERY / HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n" + inMesh, "200 QUERY server.default"},
		"LIST through both sidecars":       {outbound, "LIST / HTTP/1.1\r\n" + inMesh, "200 LIST server.default"},
		"QUERY at the workload":            {inbound, "QUERY / HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n" + inMesh, "200 QUERY server.default"},
		"X-ANY at the workload":            {inbound, "X-ANY / HTTP/1.1\r\n" + inMesh, "200 X-ANY server.default"},
		"HTTP/1.0 without Host, sidecar":   {outbound, "GET / HTTP/1.0\r\n", "502 "}, // REGISTRY_ONLY: an unknown host
		"HTTP/1.0 with Host, sidecar":      {outbound, "GET / HTTP/1.0\r\nHost: server\r\n", "200 GET server"},
		"HTTP/1.0 without Host, workload":  {inbound, "GET / HTTP/1.0\r\n", "200 GET server.default.svc.cluster.local"},
		"HTTP/1.1 without Host is refused": {outbound, "GET / HTTP/1.1\r\n", "400 "},
		"HTTP/1.0 at the gateway":          {gateway, "GET /productpage HTTP/1.0\r\nHost: shop.example.com\r\n", "426 "},
	} {
		t.Run(name, func(t *testing.T) {
			if got := rawRequest(t, c.address, c.request+"\r\n"); !strings.HasPrefix(got, c.want) {
				t.Errorf("answer %q, want %q", got, c.want)
			}
		})
	}
}

// TestHTTP10WithoutHost: where the address of a Service has a listener of its own, as with ALLOW_ANY, an HTTP/1.0 request without
// a host is one to that Service, by its rules and with mutual TLS.
func TestHTTP10WithoutHost(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%s %s", r.URL, r.Host) }))
	t.Cleanup(app.Close)
	ca, port := newAuthority(t), envoytest.FreePort(t)
	text := pairMesh(port, "http", "STRICT", "/dev/null") + `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {namespace: default, name: server}
spec: {hosts: [server], http: [{rewrite: {uri: /rewritten}, route: [{destination: {host: server}}]}]}
`
	startServerFor(t, text, port, ca.issue(t, "server"), app.Listener.Addr().String())
	text = strings.Replace(text, "'accessLogFile: /dev/null'", "'outboundTrafficPolicy: {mode: ALLOW_ANY}'", 1)
	address := startOutbound(t, text, "10.96.0.20_80", ca.issue(t, "client")).address
	const want = "200 /rewritten server.default.svc.cluster.local"
	if got := rawRequest(t, address, "GET / HTTP/1.0\r\n\r\n"); got != want {
		t.Errorf("answer %q, want %q", got, want)
	}
}

// rawRequest sends bytes and returns the status and body of the response.
func rawRequest(t *testing.T, address, request string) string {
	t.Helper()
	connection, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprint(connection, request)
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		return err.Error()
	}
	return statusAndBody(t, response)
}

// TestHeaderLimits: between workloads 120 headers, and 70 KiB of them, pass in both directions; a gateway refuses them from
// its clients.
func TestHeaderLimits(t *testing.T) {
	many := func(w http.ResponseWriter, r *http.Request) {
		for i := range 120 {
			w.Header().Set(fmt.Sprintf("X-Response-%d", i), strings.Repeat("v", 600))
		}
		fmt.Fprint(w, len(r.Header) > 120)
	}
	header := http.Header{}
	for i := range 120 {
		header.Set(fmt.Sprintf("X-Request-%d", i), strings.Repeat("v", 600))
	}
	for _, protocol := range []string{"http", "http2"} {
		caller := client{passMesh(t, protocol, many)}
		if got, want := caller.getHost(t, "server.default", "/", header), (answer{200, "true"}); got != want {
			t.Errorf("%s through both sidecars: %v, want %v", protocol, got, want)
		}
	}
	app := httptest.NewServer(http.HandlerFunc(many))
	t.Cleanup(app.Close)
	gateway := startRouter(t, app.Listener.Addr().String())
	if got := gateway.getHost(t, "shop.example.com", "/productpage", nil); got.status != http.StatusOK {
		t.Errorf("large response through a gateway: %v", got)
	}
	if got := gateway.getHost(t, "shop.example.com", "/productpage", header); got.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("large request at a gateway: %v, want 431", got)
	}
}
