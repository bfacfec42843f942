package agent

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"

	"net/http"
	"net/http/httptest"
	"net/netip"

	"path/filepath"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/mesh-operator/mesh-operator/internal/certfile"
	"github.com/mesh-operator/mesh-operator/internal/envoytest"
	"github.com/mesh-operator/mesh-operator/internal/trust"
)

// bank is a server outside of the mesh. It requires a certificate of its own authority and answers with its identity.
func bank(t *testing.T, servers, clients *fakeCA) uint32 {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.TLS.PeerCertificates[0].URIs[0])
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{servers.server("127.0.0.1")}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients.pool()}
	server.Config.SetKeepAlivesEnabled(false) // each request shows the certificate of its time
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return uint32(netip.MustParseAddrPort(server.Listener.Addr().String()).Port())
}

// fileSecretFrom refers to a secret in files as pilot does: the wait for it is finite.
func fileSecretFrom(name string) *tlsv3.SdsSecretConfig {
	s := secretFrom(name, corev3.ApiConfigSource_GRPC)
	s.SdsConfig.InitialFetchTimeout = durationpb.New(500 * time.Millisecond)
	return s
}

// bankCluster leads to a bank with a certificate and an authority in files.
func bankCluster(port uint32, pair, roots string) *clusterv3.Cluster {
	c := testCluster("bank", port)
	name := &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: "127.0.0.1"}}
	c.TransportSocket = &corev3.TransportSocket{
		Name: "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: typed(&tlsv3.UpstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{
			TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{fileSecretFrom(pair)},
			ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
				DefaultValidationContext: &tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{
					{SanType: tlsv3.SubjectAltNameMatcher_IP_ADDRESS, Matcher: name},
				}},
				ValidationContextSdsSecretConfig: fileSecretFrom(roots),
			}},
		}})},
	}
	return c
}

// plainListener takes requests as an application sends them.
func plainListener(port uint32, cluster string) *listenerv3.Listener {
	return &listenerv3.Listener{Name: "plain", Address: envoytest.Loopback(port), FilterChains: []*listenerv3.FilterChain{{
		Filters: []*listenerv3.Filter{{
			Name:       "envoy.filters.network.http_connection_manager",
			ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: typed(testManager("bank", "/", cluster))},
		}},
	}}}
}

// TestCertificatesByFile calls a server that wants a certificate, through a proxy whose certificate is in files that come
// late, are renewed, are broken and name the wrong authority. The proxy itself is ready all the time.
func TestCertificatesByFile(t *testing.T) {
	servers, clients := newFakeCA(t, time.Hour), newFakeCA(t, time.Hour)
	dir := t.TempDir()
	chain, key, roots := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), filepath.Join(dir, "ca.crt")
	port := envoytest.FreePort(t)
	p := startPod(t, time.Hour, func(c *Config) { c.Statistics.Regexps = []string{`cluster\.bank\.ssl\.fail_.*`} })
	p.pilot.publish(configuration("1",
		[]*clusterv3.Cluster{bankCluster(bank(t, servers, clients), certfile.PairName(chain, key), certfile.RootsName(roots, ""))},
		[]*listenerv3.Listener{plainListener(port, "bank")}))
	p.waitReady()
	var last string
	call := func() string {
		code, body := p.get(port, "/")
		last = fmt.Sprintf("%d %s", code, body)
		return last
	}
	defer func() { t.Log("the last answer:", last) }()
	if got := call(); !strings.HasPrefix(got, "503 ") {
		t.Fatalf("without certificates the answer is %s", got)
	}
	for _, path := range []string{chain, roots} {
		eventually(t, path+" in the log", func() bool { return strings.Contains(p.log.String(), path+" does not exist in the proxy") })
	}
	write := func(identity string) {
		certificate, private := clients.pairPEM(identity)
		put(t, chain, certificate)
		put(t, key, private)
	}
	write("spiffe://example.com/first")
	put(t, roots, trust.EncodeCertificate(servers.root))
	eventually(t, "an answer", func() bool { return call() == "200 spiffe://example.com/first" })

	write("spiffe://example.com/second")
	eventually(t, "the renewed certificate", func() bool {
		got := call()
		if !strings.HasPrefix(got, "200 ") {
			t.Fatalf("while the certificate is renewed: %s", got)
		}
		return got == "200 spiffe://example.com/second"
	})
	_, other := clients.pairPEM("spiffe://example.com/other")
	put(t, key, other)
	eventually(t, "the broken pair in the log", func() bool { return strings.Contains(p.log.String(), "are not a key pair") })
	if got := call(); got != "200 spiffe://example.com/second" {
		t.Errorf("with a broken pair: %s", got)
	}
	put(t, roots, trust.EncodeCertificate(clients.root))
	eventually(t, "a server of the wrong authority is refused", func() bool { return strings.HasPrefix(call(), "503 ") })
	if _, stats := p.get(p.config.Ports.Admin, "/stats?filter=^cluster.bank.ssl.fail_verify_error"); strings.HasSuffix(strings.TrimSpace(stats), ": 0") {
		t.Errorf("it was not refused for its authority: %s", stats)
	}
	put(t, roots, trust.EncodeCertificate(servers.root))
	eventually(t, "the right authority again", func() bool { return call() == "200 spiffe://example.com/second" })
	if code, _ := p.get(p.config.Ports.Health, "/healthz/ready"); code != 200 {
		t.Error("the proxy was unready for the sake of a rule")
	}
}
