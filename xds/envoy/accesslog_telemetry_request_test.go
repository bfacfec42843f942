package envoy

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mesh-operator/mesh-operator/internal/accesslog"
	"github.com/mesh-operator/mesh-operator/internal/envoytest"
	"github.com/mesh-operator/mesh-operator/mixer/telemetry"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

const telemetryAccount = "istio-telemetry-service-account"

// startTelemetry runs the role's server with the certificate of an account of the root namespace. stop ends it.
func startTelemetry(t *testing.T, ca *authority, address, account string) (logs *telemetry.Logs, at string, stop func()) {
	t.Helper()
	id := ca.sign(t, &x509.Certificate{URIs: []*url.URL{{Scheme: "spiffe", Host: "cluster.local", Path: "/ns/istio-system/sa/" + account}}})
	certificate, err := tls.X509KeyPair(id.certificate, id.key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(id.roots)
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	logs = telemetry.New(telemetry.Limits{PerWorkload: 100, Bytes: 1 << 20}, prometheus.NewRegistry())
	server := logs.Server(&tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"},
		Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots,
	})
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return logs, listener.Addr().String(), server.Stop
}

func askTelemetry(t *testing.T, handler http.Handler, query url.Values, into any) string {
	t.Helper()
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/?"+query.Encode(), nil))
	text := recorder.Body.String()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return text
}

// eventuallyLogged waits for an entry of a workload, and returns the answer as text too.
func eventuallyLogged(t *testing.T, logs *telemetry.Logs, workload, path string) (accesslog.Entry, string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		var a accesslog.Answer
		text := askTelemetry(t, logs.Entries(), accesslog.Query{Namespace: "default", Workload: workload}.Values(), &a)
		for _, e := range a.Entries {
			if e.Path == path {
				return e, text
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s has no entry with the path %q: %s", workload, path, text)
		}
	}
}

// TestAccessLogsReachTelemetry sends a request with secrets through the proxies of a client and a server, whose certificates say
// whose entries are whose.
func TestAccessLogsReachTelemetry(t *testing.T) {
	ca, port := newAuthority(t), envoytest.FreePort(t)
	logs, address, _ := startTelemetry(t, ca, "127.0.0.1:0", telemetryAccount)
	text := pairMesh(port, "http", "STRICT", "/dev/null") + collectorConfig(mesh.TelemetryProvider, address)
	startServer(t, text, port, ca.member(t, "server"))
	caller := startOutbound(t, text, "0.0.0.0_80", ca.member(t, "client"))
	caller.getHost(t, "server.default", "/a?token=SECRET", http.Header{"Authorization": {"Bearer SECRET"}, "Cookie": {"a=SECRET"}, "Referer": {"http://a/?SECRET"}})

	received, answer := eventuallyLogged(t, logs, "server", "/a")
	sent, answer2 := eventuallyLogged(t, logs, "client", "/a")
	if strings.Contains(answer+answer2, "SECRET") {
		t.Errorf("a secret is in %s %s", answer, answer2)
	}
	const client = "spiffe://cluster.local/ns/default/sa/client"
	if e := received; e.Reporter != accesslog.Destination || e.Code != 200 || e.Method != "GET" || e.DownstreamPeer != client || e.Proxy != "127.0.0.1" || time.Since(e.Time) > time.Hour {
		t.Errorf("the server's entry is %+v", e)
	}
	if e := sent; e.Reporter != accesslog.Source || e.Code != 200 || e.Authority != "server.default" || e.UpstreamHost != fmt.Sprintf("127.0.0.1:%d", port) {
		t.Errorf("the client's entry is %+v", e)
	}
	var upstreams []accesslog.Upstream
	askTelemetry(t, logs.Upstreams(), url.Values{"namespace": {"default"}, "workload": {"client"}}, &upstreams)
	if len(upstreams) != 1 || upstreams[0].Host != "server.default.svc.cluster.local" || upstreams[0].Port != 80 || upstreams[0].Requests != 1 || upstreams[0].Errors != 0 {
		t.Errorf("the client's upstreams are %+v", upstreams)
	}
	askTelemetry(t, logs.Upstreams(), url.Values{"namespace": {"default"}, "workload": {"server"}}, &upstreams)
	if len(upstreams) != 0 {
		t.Errorf("the server's upstreams are %+v", upstreams)
	}
}

// TestConnectionsReachTelemetry is the same over TCP.
func TestConnectionsReachTelemetry(t *testing.T) {
	ca, port := newAuthority(t), envoytest.FreePort(t)
	logs, address, _ := startTelemetry(t, ca, "127.0.0.1:0", telemetryAccount)
	text := pairMesh(port, "tcp", "STRICT", "/dev/null") + collectorConfig(mesh.TelemetryProvider, address)
	startServer(t, text, port, ca.member(t, "server"))
	caller := startOutbound(t, text, "10.96.0.20_80", ca.member(t, "client"))
	caller.getHost(t, "server.default", "/secret", nil)
	for _, workload := range []string{"server", "client"} {
		if e, _ := eventuallyLogged(t, logs, workload, ""); e.Code != 0 || e.Method != "" || e.BytesSent == 0 {
			t.Errorf("the entry of %s is %+v", workload, e)
		}
	}
}

// TestTelemetryIsKilledUnderLoad: requests go on while the server is gone, and when it is back it has the entries from then on.
func TestTelemetryIsKilledUnderLoad(t *testing.T) {
	ca, port := newAuthority(t), envoytest.FreePort(t)
	logs, address, stop := startTelemetry(t, ca, "127.0.0.1:0", telemetryAccount)
	text := pairMesh(port, "http", "STRICT", "/dev/null") + collectorConfig(mesh.TelemetryProvider, address)
	startServer(t, text, port, ca.member(t, "server"))
	caller := startOutbound(t, text, "0.0.0.0_80", ca.member(t, "client"))
	send := func(path string) {
		t.Helper()
		if got := caller.getHost(t, "server.default", path, nil); got.status != 200 {
			t.Fatalf("%s: answer %v", path, got)
		}
	}
	send("/before")
	eventuallyLogged(t, logs, "client", "/before")
	stop()
	for range 200 {
		send("/meanwhile")
	}
	logs, _, _ = startTelemetry(t, ca, address, telemetryAccount)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		send("/after")
		var a accesslog.Answer
		if askTelemetry(t, logs.Entries(), accesslog.Query{Workload: "client"}.Values(), &a); len(a.Entries) > 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("no entry has come since the server is back")
		}
	}
}

// TestProxiesVerifyTelemetry: a server with the certificate of another account gets nothing.
func TestProxiesVerifyTelemetry(t *testing.T) {
	ca, port := newAuthority(t), envoytest.FreePort(t)
	logs, address, _ := startTelemetry(t, ca, "127.0.0.1:0", "default")
	text := pairMesh(port, "http", "STRICT", "/dev/null") + collectorConfig(mesh.TelemetryProvider, address)
	startServer(t, text, port, ca.member(t, "server"))
	caller, envoy := runOutbound(t, text, "0.0.0.0_80", ca.member(t, "client"))
	caller.getHost(t, "server.default", "/", nil)
	failed := "cluster." + logCluster(mesh.TelemetryProvider) + ".ssl.fail_verify_san"
	envoy.Eventually("the client's proxy refuses the server", func() bool { return envoy.Stat(failed) != "" && envoy.Stat(failed) != "0" })
	var a accesslog.Answer
	if text := askTelemetry(t, logs.Entries(), nil, &a); len(a.Entries) > 0 {
		t.Errorf("the server has %s", text)
	}
}
