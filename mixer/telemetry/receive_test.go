package telemetry

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	logsv1 "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/mesh-operator/mesh-operator/internal/accesslog"
	"github.com/mesh-operator/mesh-operator/internal/telemetry"
)

const method = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"

// authority signs the certificates of a test.
type authority struct {
	key  *ecdsa.PrivateKey
	root *x509.Certificate
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{pool: x509.NewCertPool()}
	template := &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a.key, a.root = a.sign(t, template)
	a.pool.AddCert(a.root)
	return a
}

func (a *authority) sign(t *testing.T, c *x509.Certificate) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, parent := a.key, a.root
	if signer == nil {
		signer, parent = key, c
	}
	c.SerialNumber, c.NotAfter = big.NewInt(1), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, certificate
}

func (a *authority) certificate(t *testing.T, path string, subject pkix.Name) tls.Certificate {
	t.Helper()
	c := &x509.Certificate{
		Subject: subject, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	if path != "" {
		c.URIs = []*url.URL{{Scheme: "spiffe", Host: "cluster.local", Path: path}}
	}
	key, certificate := a.sign(t, c)
	return tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: key}
}

// start runs the server and returns a function that makes clients of it.
func start(t *testing.T, ca *authority, limits Limits) (logs *Logs, registry *prometheus.Registry, client func(...tls.Certificate) *grpc.ClientConn) {
	t.Helper()
	registry = prometheus.NewRegistry()
	logs = New(limits, registry)
	server := logs.Server(&tls.Config{
		MinVersion: tls.VersionTLS12, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.pool, NextProtos: []string{"h2"},
		Certificates: []tls.Certificate{ca.certificate(t, "/ns/istio-system/sa/istio-telemetry-service-account", pkix.Name{})},
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return logs, registry, func(certificates ...tls.Certificate) *grpc.ClientConn {
		conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(
			&tls.Config{MinVersion: tls.VersionTLS12, RootCAs: ca.pool, Certificates: certificates})))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
}

func export(t *testing.T, conn *grpc.ClientConn, fields map[string]string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	record := &logsv1.LogRecord{TimeUnixNano: uint64(time.Now().Add(time.Hour).UnixNano())}
	for name, value := range fields {
		record.Attributes = append(record.Attributes, &commonv1.KeyValue{Key: name, Value: &commonv1.AnyValue{Value: &commonv1.AnyValue_StringValue{StringValue: value}}})
	}
	return conn.Invoke(ctx, method, &logsv1.LogsData{ResourceLogs: []*logsv1.ResourceLogs{{ScopeLogs: []*logsv1.ScopeLogs{{LogRecords: []*logsv1.LogRecord{record}}}}}}, &logsv1.LogsData{})
}

// wantMetric compares a counter or gauge; label is the value of its only label, if it has one.
func wantMetric(t *testing.T, registry *prometheus.Registry, name, label string, want float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() != name || label != "" && m.GetLabel()[0].GetValue() != label {
				continue
			}
			if got := m.GetCounter().GetValue() + m.GetGauge().GetValue(); got != want {
				t.Errorf("%s %s is %v, want %v", name, label, got, want)
			}
			return
		}
	}
	t.Errorf("there is no %s %s", name, label)
}

// TestEntriesBelongToTheCertificate: what an entry says of its sender changes nothing.
func TestEntriesBelongToTheCertificate(t *testing.T) {
	ca := newAuthority(t)
	logs, registry, client := start(t, ca, Limits{PerWorkload: 10, Bytes: 1 << 20})
	reviews := telemetry.PeerOf("reviews-v1", "shop", nil).Subject()
	for name, c := range map[string]struct {
		certificate tls.Certificate
		want        string
	}{
		"workload of the subject":            {ca.certificate(t, "/ns/shop/sa/reviews", reviews), "shop/reviews-v1"},
		"subject of another namespace":       {ca.certificate(t, "/ns/bank/sa/reviews", reviews), "bank/unknown"},
		"no subject, as of another signer":   {ca.certificate(t, "/ns/shop2/sa/reviews", pkix.Name{}), "shop2/unknown"},
		"subject that the CA does not write": {ca.certificate(t, "/ns/shop3/sa/reviews", pkix.Name{CommonName: "a,OU=b"}), "shop3/unknown"},
	} {
		if err := export(t, client(c.certificate), map[string]string{"path": "/" + name, "namespace": "forged", "workload": "forged", "proxy": "forged"}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		namespace, workload, _ := strings.Cut(c.want, "/")
		a := logs.store.read(accesslog.Query{Namespace: namespace, Workload: workload})
		if len(a.Entries) != 1 || a.Entries[0].Path != "/"+name || a.Entries[0].Proxy != "127.0.0.1" || a.Entries[0].Namespace != namespace || a.Entries[0].Workload != workload {
			t.Errorf("%s: the entries of %s are %+v", name, c.want, a.Entries)
		} else if time.Until(a.Entries[0].Time) > 0 {
			t.Errorf("%s: the entry is from the future: %s", name, a.Entries[0].Time)
		}
	}
	wantMetric(t, registry, "mesh_telemetry_entries_received_total", "", 4)
	wantMetric(t, registry, "mesh_telemetry_workloads", "", 4)
}

func TestUntrustedClientsAreRefused(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	logs, registry, client := start(t, ca, Limits{PerWorkload: 10, Bytes: 1 << 20})
	for name, certificates := range map[string][]tls.Certificate{
		"no certificate":                 {},
		"a certificate of another mesh":  {other.certificate(t, "/ns/shop/sa/reviews", pkix.Name{})},
		"a certificate without identity": {ca.certificate(t, "", pkix.Name{CommonName: "a"})},
	} {
		if err := export(t, client(certificates...), nil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if a := logs.store.read(accesslog.Query{}); len(a.Entries) > 0 {
		t.Errorf("there are %+v", a.Entries)
	}
	wantMetric(t, registry, "mesh_telemetry_requests_refused_total", "identity", 1)
}

// TestBusyServerRefusesRequests before it has decoded them.
func TestBusyServerRefusesRequests(t *testing.T) {
	ca := newAuthority(t)
	logs, registry, client := start(t, ca, Limits{PerWorkload: 10, Bytes: 1 << 20})
	conn := client(ca.certificate(t, "/ns/shop/sa/reviews", pkix.Name{}))
	for range maxDecoding {
		logs.receiver.slots <- struct{}{}
	}
	if err := export(t, conn, nil); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a busy server says %v", err)
	}
	<-logs.receiver.slots
	if err := export(t, conn, nil); err != nil {
		t.Errorf("with a free slot: %v", err)
	}
	if err := export(t, conn, map[string]string{"path": strings.Repeat("a", 2*maxRequest)}); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a large request: %v", err)
	}
	wantMetric(t, registry, "mesh_telemetry_requests_refused_total", "busy", 1)
	wantMetric(t, registry, "mesh_telemetry_requests_refused_total", "invalid", 1)
}

func TestAPIRefusesInvalidQueries(t *testing.T) {
	logs := New(Limits{PerWorkload: 1, Bytes: 1}, prometheus.NewRegistry())
	for _, c := range []struct {
		path, want string
	}{
		{"/?status=x", "parse status"}, {"/?limit=0", "parse limit"},
	} {
		recorder := httptest.NewRecorder()
		logs.Entries().ServeHTTP(recorder, httptest.NewRequest("GET", c.path, nil))
		if recorder.Code != 400 || !strings.Contains(recorder.Body.String(), c.want) {
			t.Errorf("%s: %d %s", c.path, recorder.Code, recorder.Body)
		}
	}
	recorder := httptest.NewRecorder()
	logs.Upstreams().ServeHTTP(recorder, httptest.NewRequest("GET", "/?namespace=a", nil))
	if recorder.Code != 400 {
		t.Errorf("upstreams without a workload: %d %s", recorder.Code, recorder.Body)
	}
}
