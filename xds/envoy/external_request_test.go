package envoy

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mesh-operator/mesh-operator/internal/certfile"
)

const externalClient = `
apiVersion: v1
kind: Pod
metadata: {namespace: default, name: client, labels: {security.istio.io/tlsMode: istio}}
spec: {serviceAccountName: client}
status: {podIPs: [{ip: 127.0.0.1}]}
`

// externalHost is a ServiceEntry with one port.
func externalHost(host, port, more string) string {
	return fmt.Sprintf(`---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {namespace: default, name: %s}
spec:
  hosts: [%s]
  ports: [%s]
  %s
`, strings.ReplaceAll(host, "*.", ""), host, port, more)
}

// TestExternalHTTP calls hosts of ServiceEntries by address and by name; one has a VirtualService with a timeout, one is called over
// TLS that the proxy begins.
func TestExternalHTTP(t *testing.T) {
	servers := newAuthority(t)
	plain, plainPort := externalServer(t, nil)
	_, securePort := externalServer(t, servers.sign(t, &x509.Certificate{DNSNames: []string{"secure.example.com"}}))
	_, wrongPort := externalServer(t, servers.sign(t, &x509.Certificate{DNSNames: []string{"other.example.com"}}))
	text := externalClient +
		externalHost("static.example.com", "{number: 80, name: http, protocol: HTTP}", "resolution: STATIC\n  endpoints: [{address: 127.0.0.1, ports: {http: "+plainPort+"}}]") +
		externalHost("dns.example.com", "{number: 80, name: http, protocol: HTTP, targetPort: "+plainPort+"}", "resolution: DNS\n  endpoints: [{address: localhost}]") +
		externalHost("localhost.localdomain", "{number: 80, name: http, protocol: HTTP, targetPort: "+plainPort+"}", "resolution: DNS_ROUND_ROBIN\n  endpoints: [{address: localhost}]") +
		externalHost("secure.example.com", "{number: 80, name: http, protocol: HTTP, targetPort: "+securePort+"}", "resolution: DNS\n  endpoints: [{address: localhost}]") +
		externalHost("wrong.example.com", "{number: 80, name: http, protocol: HTTP, targetPort: "+wrongPort+"}", "resolution: DNS\n  endpoints: [{address: localhost}]") + `
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {namespace: default, name: static}
spec:
  hosts: [static.example.com]
  http:
  - timeout: 0.5s
    route: [{destination: {host: static.example.com}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {namespace: default, name: external}
spec: {host: secure.example.com, trafficPolicy: {tls: {mode: SIMPLE, caCertificates: /etc/ca.crt}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {namespace: default, name: wrong}
spec: {host: wrong.example.com, trafficPolicy: {tls: {mode: SIMPLE, caCertificates: /etc/ca.crt}}}
`
	c, e := runOutbound(t, text, "0.0.0.0_80", newAuthority(t).member(t, "client"), servers.issue(t, "any").authorities(certfile.RootsName("/etc/ca.crt", "")))
	e.Eventually("look up names", func() bool { return c.getHost(t, "secure.example.com", "/", nil).status == http.StatusOK })
	for host, want := range map[string]string{
		"static.example.com": "200 static.example.com in the clear", "static.example.com:80": "200 static.example.com:80 in the clear", "dns.example.com": "200 dns.example.com in the clear",
		"localhost.localdomain": "200 localhost.localdomain in the clear", "secure.example.com": "200 secure.example.com over TLS",
		"wrong.example.com": "503 upstream connect error", "nobody.example.com": "502 ",
	} {
		if got := c.getHost(t, host, "/", nil).String(); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
	if got := c.getHost(t, "static.example.com", "/slow", nil).status; got != http.StatusGatewayTimeout {
		t.Errorf("a request that takes longer than the timeout gets %d, want 504", got)
	}
	plain.CloseClientConnections()
	found := false
	for _, m := range scrapeAs(t, ownOf("client"), e)["istio_requests_total"] {
		found = found || m.labels["destination_service"] == "dns.example.com" && m.labels["destination_service_name"] == "dns.example.com" &&
			m.labels["destination_service_namespace"] == "default" && m.labels["destination_workload"] == "unknown"
	}
	if !found {
		t.Error("no metric names the host as destination")
	}
}

// TestExternalTLS opens TLS connections by the names of servers to one port: those that ServiceEntries have are passed on unread, others
// are closed.
func TestExternalTLS(t *testing.T) {
	servers := newAuthority(t)
	names := []string{"a.example.com", "x.wild.example.com"}
	ports := map[string]string{}
	for _, name := range names {
		_, ports[name] = externalServer(t, servers.sign(t, &x509.Certificate{DNSNames: []string{name}}))
	}
	const entry = "resolution: STATIC\n  endpoints: [{address: 127.0.0.1}]"
	c := startOutbound(t, externalClient+
		externalHost("a.example.com", "{number: 443, name: https, protocol: HTTPS, targetPort: "+ports[names[0]]+"}", entry)+
		externalHost(`"*.wild.example.com"`, "{number: 443, name: tls, protocol: TLS, targetPort: "+ports[names[1]]+"}", entry), "0.0.0.0_443", newAuthority(t).issue(t, "client"))
	roots := x509.NewCertPool()
	roots.AddCert(servers.certificate)
	for _, name := range []string{"a.example.com", "x.wild.example.com", "b.example.com", "wild.example.com"} {
		dialer := &tls.Dialer{NetDialer: &net.Dialer{Timeout: time.Minute}, Config: &tls.Config{ServerName: name, RootCAs: roots, MinVersion: tls.VersionTLS12}}
		connection, err := dialer.DialContext(t.Context(), "tcp", c.address)
		if err == nil {
			connection.Close()
		}
		if want := ports[name] != ""; (err == nil) != want {
			t.Errorf("a connection to %s: %v, want one: %v", name, err, want)
		}
	}
}

// externalServer is a server outside of the mesh, with TLS if it has a certificate.
func externalServer(t *testing.T, own *identity) (s *httptest.Server, port string) {
	t.Helper()
	how := "in the clear"
	s = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-r.Context().Done()
			return
		}
		fmt.Fprint(w, r.Host, " ", how)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	if own == nil {
		s.Start()
	} else {
		pair, err := tls.X509KeyPair(own.certificate, own.key)
		if err != nil {
			t.Fatal(err)
		}
		how, s.TLS = "over TLS", &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
		s.StartTLS()
	}
	t.Cleanup(s.Close)
	_, port, _ = net.SplitHostPort(s.Listener.Addr().String())
	return s, port
}
