package envoy

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/mesh-operator/mesh-operator/internal/certfile"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// TestOriginationVerifiesBothSides calls servers, with a policy for each, through a real Envoy. A server wants a certificate
// of its clients' authority and answers with the name it was asked for and with whom it saw.
func TestOriginationVerifiesBothSides(t *testing.T) {
	servers, clients := newAuthority(t), newAuthority(t)
	const files, ca = "clientCertificate: /etc/certs/tls.crt, privateKey: /etc/certs/tls.key", "caCertificates: /etc/certs/ca.crt"
	const seen = " spiffe://cluster.local/ns/default/sa/client"
	const failed = "503 upstream connect error"
	cases := map[string]struct{ tls, host, want string }{
		"mutual":         {"mode: MUTUAL, " + files + ", " + ca, "reviews:9080", "200 reviews" + seen},
		"other-host":     {"mode: MUTUAL, " + files + ", " + ca, "reviews.default:9080", failed},
		"sni":            {"mode: MUTUAL, " + files + ", " + ca + ", sni: bank.example.com", "reviews", "200 bank.example.com" + seen},
		"other-sni":      {"mode: MUTUAL, " + files + ", " + ca + ", sni: thief.example.com", "reviews", failed},
		"dns-name":       {"mode: MUTUAL, " + files + ", " + ca + ", subjectAltNames: [thief, bank.example.com]", "reviews.default", "200 reviews.default" + seen},
		"uri-name":       {"mode: MUTUAL, " + files + ", " + ca + `, subjectAltNames: ["spiffe://example.com/bank"]`, "reviews", "200 reviews" + seen},
		"address":        {"mode: MUTUAL, " + files + ", " + ca + ", subjectAltNames: [127.0.0.1]", "reviews", "200 reviews" + seen},
		"mail":           {"mode: MUTUAL, " + files + ", " + ca + ", subjectAltNames: [bank@example.com]", "reviews", "200 reviews" + seen},
		"other-names":    {"mode: MUTUAL, " + files + ", " + ca + `, subjectAltNames: ["spiffe://example.com/bank2", 127.0.0.2, thief]`, "reviews", failed},
		"other-root":     {"mode: MUTUAL, " + files + ", caCertificates: /etc/certs/other.crt", "reviews", failed},
		"public-roots":   {"mode: MUTUAL, " + files, "reviews", failed},
		"unverified":     {"mode: MUTUAL, " + files + ", insecureSkipVerify: true", "reviews.default", "200 reviews.default" + seen},
		"no-certificate": {"mode: SIMPLE, " + ca, "reviews", failed},
		"stranger":       {"mode: MUTUAL, clientCertificate: /etc/certs/s.crt, privateKey: /etc/certs/s.key, " + ca, "reviews", failed},
		"missing":        {"mode: MUTUAL, clientCertificate: /etc/certs/none.crt, privateKey: /etc/certs/none.key, " + ca, "reviews", failed},
		"revoked":        {"mode: MUTUAL, " + files + ", " + ca + ", caCrl: /etc/certs/revoked.crl", "reviews", failed},
		"not-revoked":    {"mode: MUTUAL, " + files + ", " + ca + ", caCrl: /etc/certs/others.crl", "reviews", "200 reviews" + seen},
		"disabled":       {"mode: DISABLE", "reviews", "400"},
		"secret":         {"mode: MUTUAL, credentialName: bank", "reviews", "503 no healthy upstream"},
	}
	addresses, rule, routes := map[string]string{}, "", ""
	for name, c := range cases {
		addresses[name] = bank(t, servers, clients)
		rule += fmt.Sprintf("\n  - {name: %[1]s, labels: {version: %[1]s}, trafficPolicy: {tls: {%[2]s}}}", name, c.tls)
		routes += fmt.Sprintf("\n  - {match: [{uri: {prefix: /%[1]s/}}], route: [{destination: {host: reviews, subset: %[1]s}}]}", name)
	}
	text := reviewsMesh(addresses) + `
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {namespace: default, name: reviews}
spec:
  host: reviews
  subsets:` + rule + `
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {namespace: default, name: reviews}
spec:
  hosts: [reviews]
  http:` + routes
	client, stranger := clients.issue(t, "client"), servers.issue(t, "stranger")
	envoy := startOutbound(t, text, "0.0.0.0_9080", client, client.pair(certfile.PairName("/etc/certs/tls.crt", "/etc/certs/tls.key")),
		stranger.pair(certfile.PairName("/etc/certs/s.crt", "/etc/certs/s.key")), stranger.authorities(certfile.RootsName("/etc/certs/ca.crt", "")),
		servers.revoked(t, certfile.RootsName("/etc/certs/ca.crt", "/etc/certs/revoked.crl"), 2),
		servers.revoked(t, certfile.RootsName("/etc/certs/ca.crt", "/etc/certs/others.crl"), 3),
		client.authorities(certfile.RootsName("/etc/certs/other.crt", "")), client.authorities(certfile.RootsName("", "")))
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := envoy.getHost(t, c.host, "/"+name+"/", nil).String(); !strings.HasPrefix(got, c.want) {
				t.Errorf("%s: %q, want %q", c.tls, got, c.want)
			}
		})
	}
}

// revoked is the authority with a list of what it has revoked.
func (a *authority) revoked(t *testing.T, name string, serial int64) *tlsv3.Secret {
	t.Helper()
	list := &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(serial), RevocationTime: time.Now().Add(-time.Minute)}},
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.certificate, a.key)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
	if err := certfile.CheckRevoked(text); err != nil {
		t.Error(err)
	}
	return validationSecret(name, &mesh.Credential{CA: a.pem, Revoked: text})
}

// bank is a server outside of the mesh.
func bank(t *testing.T, servers, clients *authority) (address string) {
	t.Helper()
	own := servers.sign(t, &x509.Certificate{
		DNSNames: []string{"reviews", "bank.example.com"}, URIs: []*url.URL{{Scheme: "spiffe", Host: "example.com", Path: "/bank"}},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, EmailAddresses: []string{"bank@example.com"},
	})
	pair, err := tls.X509KeyPair(own.certificate, own.key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.TLS.ServerName, " ", r.TLS.PeerCertificates[0].URIs[0])
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool()}
	s.TLS.ClientCAs.AddCert(clients.certificate)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}
