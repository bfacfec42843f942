package envoy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"

	"github.com/mesh-operator/mesh-operator/internal/envoytest"
	"github.com/mesh-operator/mesh-operator/internal/golden"
)

// TestGatewayPortOfManyTenants has three tenants on port 443 of one gateway: the oldest serves plain HTTP there; two share a
// host, a credential and TLS settings, and one of them has another host that the certificate covers too.
func TestGatewayPortOfManyTenants(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Host, r.URL.Path) }))
	t.Cleanup(app.Close)
	ca := newAuthority(t)
	address := startTLSRouter(t, ca, app.Listener.Addr().String(), "", `
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 443, name: http, protocol: HTTP}, hosts: [plain.example.com]}]}`, `
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 443, name: https, protocol: HTTPS}, hosts: [shop.example.com], tls: {mode: SIMPLE, credentialName: web}}]}`, `
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 443, name: https, protocol: HTTPS}, hosts: [shop.example.com], tls: {mode: SIMPLE, credentialName: web}}
  - {port: {number: 443, name: https-other, protocol: HTTPS}, hosts: [other.example.com], tls: {mode: SIMPLE, credentialName: web}}`)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.pem)
	secured := func(sni, url string) string {
		transport := &http.Transport{
			ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: sni},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, address)
			},
		}
		defer transport.CloseIdleConnections()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := transport.RoundTrip(request)
		if err != nil {
			return err.Error()
		}
		return statusAndBody(t, response)
	}
	for name, c := range map[string]struct{ got, want string }{
		"plain HTTP":               {rawRequest(t, address, "GET /a HTTP/1.1\r\nHost: plain.example.com\r\n\r\n"), "200 plain.example.com/a"},
		"HTTPS of the older":       {secured("shop.example.com", "https://shop.example.com/b"), "200 shop.example.com/b"},
		"HTTPS of the younger":     {secured("shop.example.com", "https://shop.example.com/c"), "200 shop.example.com/c"},
		"another host":             {secured("other.example.com", "https://other.example.com/c"), "200 other.example.com/c"},
		"a reused connection":      {secured("other.example.com", "https://shop.example.com/b"), "421"},
		"a host that nobody has":   {secured("other.example.com", "https://nobody.example.com/"), "404"},
		"plain HTTP of HTTPS host": {rawRequest(t, address, "GET /b HTTP/1.1\r\nHost: shop.example.com\r\n\r\n"), "404"},
	} {
		if strings.TrimSpace(c.got) != c.want {
			t.Errorf("%s: %q, want %q", name, c.got, c.want)
		}
	}
}

// startTLSRouter runs a router that serves Gateways a, b, ... of namespaces of these names, oldest first, each with a
// VirtualService for all its hosts that serves the path of its name. services is more YAML.
func startTLSRouter(t *testing.T, ca *authority, app, services string, gateways ...string) (address string) {
	t.Helper()
	pair := ca.sign(t, &x509.Certificate{DNSNames: []string{"*.example.com"}})
	text := services + fmt.Sprintf(`
apiVersion: v1
kind: Secret
metadata: {namespace: edge, name: web}
stringData: {tls.crt: %q, tls.key: %q}
---
`+reviewsService+"---\n"+routerPod, pair.certificate, pair.key)
	for i, spec := range gateways {
		name := string(rune('a' + i))
		text += fmt.Sprintf(`---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {namespace: %[1]s, name: %[1]s, creationTimestamp: 2026-01-0%[2]dT00:00:00Z}%[3]s
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {namespace: %[1]s, name: %[1]s}
spec:
  hosts: ["*.example.com"]
  gateways: [%[1]s]
  http: [{match: [{uri: {prefix: /%[1]s}}], route: [{destination: {host: reviews.default.svc.cluster.local}}]}]
`, name, i+1, spec)
	}
	set, problems := translate(t, golden.Case{Files: map[string][]byte{"input.yaml": []byte(text + endpointYAML("reviews", "v1", app, nil)), "proxy": []byte("edge/router")}})
	if len(problems) > 0 {
		t.Errorf("problems: %v", problems)
	}
	b := static(t, set)
	ca.issue(t, "router").install(t, b)
	b.StaticResources.Listeners[0].Address = envoytest.Loopback(0)
	b.StaticResources.Listeners = []*listenerv3.Listener{b.StaticResources.Listeners[0]}
	e := envoytest.Start(t, b)
	e.WaitLive()
	return e.Listener(b.StaticResources.Listeners[0].Name)
}
