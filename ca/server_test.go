package ca

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	securityv1alpha1 "istio.io/api/security/v1alpha1"

	"github.com/mesh-operator/mesh-operator/internal/spiffe"
)

const serverName = "istio-citadel.istio-system.svc"

// connect dials with a TLS configuration that trusts the bundle in force.
func connect(t *testing.T, r *running, edit func(*tls.Config)) *grpc.ClientConn {
	t.Helper()
	config := &tls.Config{RootCAs: current(t, r).bundle.Pool(), ServerName: serverName}
	if edit != nil {
		edit(config)
	}
	return connectWith(t, r, credentials.NewTLS(config))
}

func connectWith(t *testing.T, r *running, creds credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///citadel", grpc.WithContextDialer(r.dial), grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func request(t *testing.T) *securityv1alpha1.IstioCertificateRequest {
	return &securityv1alpha1.IstioCertificateRequest{Csr: csr(t, newKey(t), x509.CertificateRequest{})}
}

func ask(t *testing.T, conn *grpc.ClientConn, token string) ([]*x509.Certificate, error) {
	t.Helper()
	ctx := t.Context()
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	answer, err := securityv1alpha1.NewIstioCertificateServiceClient(conn).CreateCertificate(ctx, request(t))
	if err != nil {
		return nil, err
	}
	var chain []*x509.Certificate
	for _, text := range answer.CertChain {
		block, rest := pem.Decode([]byte(text))
		if block == nil || len(rest) != 0 {
			t.Fatalf("%q is not one PEM block", text)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, cert)
	}
	return chain, nil
}

// metricValue sums a counter over its labels, as /metrics shows it.
func metricValue(t *testing.T, r *running, name string) (sum float64) {
	t.Helper()
	families, err := r.monitoring.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			for _, m := range family.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

func TestEveryMethodRequiresAuthentication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, options(newAPI(namespace("istio-system"))))
		defer r.stop()
		conn := connect(t, r, nil)
		defer conn.Close()
		for service, info := range r.server().GetServiceInfo() {
			for _, method := range info.Methods {
				err := conn.Invoke(t.Context(), "/"+service+"/"+method.Name, request(t), new(emptypb.Empty))
				if status.Code(err) != codes.Unauthenticated {
					t.Errorf("%s/%s answers an untrusted client %v", service, method.Name, err)
				}
			}
		}
		for _, method := range []string{
			"/grpc.health.v1.Health/Check", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
			"/istio.v1.auth.IstioCAService/HandleCSR", "/istio.v1.auth.IstioCertificateService/Other",
		} {
			err := conn.Invoke(t.Context(), method, new(emptypb.Empty), new(emptypb.Empty))
			if status.Code(err) != codes.Unimplemented {
				t.Errorf("%s answers %v", method, err)
			}
		}
		if got := metricValue(t, r, "citadel_server_refused_count"); got != 1 {
			t.Errorf("%v refusals metricValue, want 1", got)
		}
	})
}

func TestInvalidHandshakesAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, options(newAPI(namespace("istio-system"))))
		defer r.stop()
		foreign := &serving{
			authority: func() (*authority, error) { return newAuthority(t), nil }, issuer: testIssuer(), names: r.serving.names, now: time.Now,
		}
		_, certificate, err := foreign.current()
		if err != nil {
			t.Fatal(err)
		}
		cases := map[string]credentials.TransportCredentials{
			"Plaintext": insecure.NewCredentials(),
			"TLS11": credentials.NewTLS(&tls.Config{
				RootCAs: current(t, r).bundle.Pool(), ServerName: serverName, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11,
			}),
			"CertificateOfAnotherRoot": credentials.NewTLS(&tls.Config{
				RootCAs: current(t, r).bundle.Pool(), ServerName: serverName,
				// Sent whatever the server says it accepts.
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil },
			}),
		}
		for name, creds := range cases {
			conn := connectWith(t, r, creds)
			if _, err := ask(t, conn, ""); status.Code(err) != codes.Unavailable {
				t.Errorf("%s: %v, want no connection", name, err)
			}
			conn.Close()
		}
	})
}

// TestServerClosesIdleConnections is about ISTIO-SECURITY-2020-007: neither silence nor a call that is begun and not
// finished keeps one open.
func TestServerClosesIdleConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, options(newAPI(namespace("istio-system"))))
		defer r.stop()
		plain, err := r.dial(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		silent := time.Now()
		_, _ = plain.Read(make([]byte, 1))
		if took := time.Since(silent); took > 10*time.Second {
			t.Errorf("a connection without a handshake was left open for %s", took)
		}
		conn := connect(t, r, nil)
		defer conn.Close()
		begun := time.Now()
		stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true}, securityv1alpha1.IstioCertificateService_CreateCertificate_FullMethodName)
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.RecvMsg(new(securityv1alpha1.IstioCertificateResponse)); err == nil {
			t.Error("an answer without a request")
		}
		if took := time.Since(begun); took > 90*time.Second {
			t.Errorf("a call without a request was left open for %s", took)
		}
	})
}

// A session is never resumed: it would keep the verdict of the bundle that was in force when it began.
func TestSessionsAreNotResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, options(newAPI(namespace("istio-system"))))
		defer r.stop()
		checkNoResumption(t, r.serving.tlsConfig(), &tls.Config{RootCAs: current(t, r).bundle.Pool(), ServerName: serverName, NextProtos: []string{"h2"}})
	})
}

func checkNoResumption(t *testing.T, server, client *tls.Config) {
	t.Helper()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client := client.Clone()
		client.MaxVersion, client.ClientSessionCache = version, tls.NewLRUClientSessionCache(1)
		for range 2 {
			client.VerifyConnection = func(s tls.ConnectionState) error {
				if s.DidResume {
					t.Errorf("version %x: a session was resumed", version)
				}
				return nil
			}
			if _, err := handshake(server, client); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestChainIsLeafFirstRootLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(namespace("istio-system"))
		token := a.workload(t, "default", "sleep", "sleep-1")
		r := start(t, options(a))
		defer r.stop()
		conn := connect(t, r, nil)
		defer conn.Close()
		chain, err := ask(t, conn, token)
		if err != nil {
			t.Fatal(err)
		}
		if len(chain) != 2 || !chain[1].Equal(current(t, r).cert) || chain[0].CheckSignatureFrom(chain[1]) != nil {
			t.Errorf("a chain of %d", len(chain))
		}
		if got := metricValue(t, r, "citadel_server_success_cert_issuance_count"); got != 1 {
			t.Errorf("%v issued, want 1", got)
		}
	})
}

func TestControlPlaneCertificatesHoldServiceNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cases := []struct {
			namespace, account string
			want               []string
		}{
			{"istio-system", "istio-pilot-service-account", []string{"istio-pilot.istio-system.svc", "istio-pilot.istio-system.svc.cluster.local"}},
			{"istio-system", "istio-galley-service-account", []string{"istio-galley.istio-system.svc", "istio-galley.istio-system.svc.cluster.local"}},
			{"istio-system", "elasticsearch", []string{"elasticsearch.istio-system.svc", "elasticsearch.istio-system.svc.cluster.local"}},
			{"istio-system", "kiali", []string{"kiali.istio-system.svc", "kiali.istio-system.svc.cluster.local"}},
			{"shop", "elasticsearch", nil},
			{"istio-system", "istio-sidecar-injector-service-account", []string{"istio-sidecar-injector.istio-system.svc", "istio-sidecar-injector.istio-system.svc.cluster.local"}},
			{"istio-system", "istio-ingressgateway-service-account", nil},
			{"default", "istio-pilot-service-account", nil},
		}
		a := newAPI(namespace("istio-system"))
		r := start(t, options(a))
		defer r.stop()
		conn := connect(t, r, nil)
		defer conn.Close()
		for _, c := range cases {
			chain, err := ask(t, conn, a.workload(t, c.namespace, c.account, "pod-of-"+c.account))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, chain[0].DNSNames); diff != "" {
				t.Errorf("%s/%s (-want +got):\n%s", c.namespace, c.account, diff)
			}
		}
	})
}

// A certificate gives its identity another key without a token, but no facts and no longer lifetime, because no pod was checked.
func TestClientCertificateRenewsWithoutFacts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, options(newAPI(namespace("istio-system"))))
		defer r.stop()
		short := testIssuer()
		short.ttl = time.Hour
		own := &serving{authority: r.rootStore.authority, issuer: short, names: sleep(t), now: time.Now}
		_, certificate, err := own.current()
		if err != nil {
			t.Fatal(err)
		}
		conn := connect(t, r, func(c *tls.Config) { c.Certificates = []tls.Certificate{*certificate} })
		defer conn.Close()
		chain, err := ask(t, conn, "")
		if err != nil {
			t.Fatal(err)
		}
		if id, err := spiffe.FromCertificate(chain[0]); err != nil || id != sleep(t).id || chain[0].Subject.String() != "" {
			t.Errorf("identity %s, %v, subject %q", id, err, chain[0].Subject)
		}
		if until := certificate.Leaf.NotAfter; !chain[0].NotAfter.Equal(until) {
			t.Errorf("ends %s, what proved it %s", chain[0].NotAfter, until)
		}
	})
}

func TestRateLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthorizer("istio-system", time.Now)
		who := sleep(t).id
		admitted := func(who spiffe.ID) (n int) {
			for range 2000 {
				if a.checkIdentityRate(who) == nil {
					n++
				}
			}
			return n
		}
		if n := admitted(who); n != 1000 {
			t.Errorf("%d at once for one identity, want a burst of 1000", n)
		}
		other := who
		other.ServiceAccount = "httpbin"
		if n := admitted(other); n != 1000 {
			t.Errorf("%d for another identity, want 1000", n)
		}
		time.Sleep(time.Second)
		if n := admitted(who); n != 50 {
			t.Errorf("%d a second later, want 50", n)
		}
	})
}

// An untrusted client costs the API server no more reviews of tokens than its quota.
func TestCallsAreRateLimitedPerAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAPI(namespace("istio-system"))
		r := start(t, options(a))
		defer r.stop()
		conn := connect(t, r, nil)
		defer conn.Close()
		answers := map[codes.Code]int{}
		for range 150 {
			_, err := ask(t, conn, "nonsense")
			answers[status.Code(err)]++
		}
		want := map[codes.Code]int{codes.Unauthenticated: 100, codes.ResourceExhausted: 50}
		if diff := cmp.Diff(want, answers); diff != "" {
			t.Errorf("answers (-want +got):\n%s", diff)
		}
		if n := len(writeVerbs(a, "tokenreviews")); n != 100 {
			t.Errorf("%d tokens were reviewed, want 100", n)
		}
	})
}

// Citadel's own certificate follows the clock and the root without a restart.
func TestServingCertificateRotates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, options(newAPI(namespace("istio-system"))))
		defer r.stop()
		_, first, err := r.serving.current()
		if err != nil {
			t.Fatal(err)
		}
		if _, again, _ := r.serving.current(); again != first {
			t.Error("a new certificate for every connection")
		}
		time.Sleep(13 * time.Hour)
		_, second, err := r.serving.current()
		if err != nil || second == first {
			t.Errorf("not rotated: %v", err)
		}
		if err := second.Leaf.VerifyHostname(serverName); err != nil {
			t.Error(err)
		}
	})
}

func TestNoHandshakeWithoutRoot(t *testing.T) {
	s := &serving{authority: func() (*authority, error) { return nil, errRootMissing }}
	if config, err := s.tlsConfig().GetConfigForClient(nil); err == nil {
		t.Errorf("serves with %d certificates", len(config.Certificates))
	}
}

func TestInvalidOptions(t *testing.T) {
	for name, edit := range map[string]func(*Options){
		"NoLifetime":     func(o *Options) { o.WorkloadTTL = 0 },
		"RootBelow":      func(o *Options) { o.RootTTL = time.Hour },
		"NoServerName":   func(o *Options) { o.ServerName = "" },
		"BadTrustDomain": func(o *Options) { o.TrustDomain = "Cluster.Local/x" },
	} {
		o := options(newAPI())
		edit(&o)
		if err := Run(context.Background(), o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
