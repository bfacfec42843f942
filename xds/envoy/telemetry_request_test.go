package envoy

import (
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/mesh-operator/mesh-operator/internal/envoytest"
	"github.com/mesh-operator/mesh-operator/internal/telemetry"
)

// member is an identity of the mesh as the CA issues it: with the facts of its workload in the subject.
func (a *authority) member(t *testing.T, name string) *identity {
	t.Helper()
	return a.sign(t, &x509.Certificate{
		Subject: peerOf(name).Subject(),
		URIs:    []*url.URL{{Scheme: "spiffe", Host: "cluster.local", Path: "/ns/default/sa/" + name}},
	})
}

func peerOf(name string) telemetry.Peer { return telemetry.PeerOf(name, "default", nil) }

func ownOf(name string) telemetry.Own {
	return telemetry.Own{Peer: peerOf(name), Principal: "spiffe://cluster.local/ns/default/sa/" + name}
}

// metric is one series of the agent's page.
type metric struct {
	labels map[string]string
	value  float64 // of a histogram the count
}

// scrapeAs returns the series of the mesh by name, as the agent of a workload serves them.
func scrapeAs(t *testing.T, own telemetry.Own, e *envoytest.Envoy) map[string][]metric {
	t.Helper()
	var page strings.Builder
	if err := own.Rewrite(&page, strings.NewReader(e.Get("/stats/prometheus"))); err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(page.String()))
	if err != nil {
		t.Fatalf("%v in:\n%s", err, page.String())
	}
	out := map[string][]metric{}
	for name, family := range families {
		if !strings.HasPrefix(name, "istio_") {
			continue
		}
		for _, m := range family.Metric {
			labels := map[string]string{}
			for _, l := range m.Label {
				labels[l.GetName()] = l.GetValue()
			}
			out[name] = append(out[name], metric{labels, m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())})
		}
	}
	return out
}

// labelsOf are the labels of a request over mutual TLS that was answered, changed by pairs of a name and a value; a value "" removes
// the label.
func labelsOf(reporter string, changes ...string) map[string]string {
	l := map[string]string{
		"reporter": reporter, "request_protocol": "http", "response_code": "200", "response_flags": "-",
		"destination_service": "server.default.svc.cluster.local", "destination_service_name": "server", "destination_service_namespace": "default",
		"connection_security_policy": "unknown",
	}
	if reporter == telemetry.Destination {
		l["connection_security_policy"] = "mutual_tls"
	}
	known(l, "source", "client")
	known(l, "destination", "server")
	for i := 0; i+1 < len(changes); i += 2 {
		switch name, value := changes[i], changes[i+1]; {
		case name == "source" || name == "destination":
			known(l, name, value)
		case value == "":
			delete(l, name)
		default:
			l[name] = value
		}
	}
	return l
}

// known sets the labels of one side to those of a workload, or to "unknown".
func known(l map[string]string, side, workload string) {
	l[side+"_workload"], l[side+"_app"], l[side+"_canonical_service"] = workload, workload, workload
	l[side+"_workload_namespace"], l[side+"_version"], l[side+"_canonical_revision"] = "default", "latest", "latest"
	l[side+"_principal"], l[side+"_cluster"] = "spiffe://cluster.local/ns/default/sa/"+workload, "Kubernetes"
	if workload == "unknown" {
		for _, fact := range []string{"workload_namespace", "version", "canonical_revision", "principal", "cluster"} {
			l[side+"_"+fact] = "unknown"
		}
	}
}

// wantSeries fails unless the agent of a workload serves exactly these series of a metric.
func wantSeries(t *testing.T, e *envoytest.Envoy, workload, name string, want ...metric) {
	t.Helper()
	var diff string
	sorted := func(list []metric) map[string]float64 {
		out := map[string]float64{}
		for _, m := range list {
			out[fmt.Sprint(m.labels)] += m.value
		}
		return out
	}
	deadline := time.Now().Add(15 * time.Second) // Envoy merges histograms every five seconds
	e.Eventually("serve "+name, func() bool {
		diff = cmp.Diff(sorted(want), sorted(scrapeAs(t, ownOf(workload), e)[name]))
		return diff == "" || time.Now().After(deadline)
	})
	if diff != "" {
		t.Errorf("%s of %s (-want +got):\n%s", name, workload, diff)
	}
}

// metricApp answers by path what the cases need.
func metricApp(t *testing.T) string {
	t.Helper()
	var failed atomic.Bool
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			select {
			case <-r.Context().Done():
			case <-time.After(5 * time.Second):
			}
		case "/reset":
			panic(http.ErrAbortHandler)
		case "/flaky":
			if failed.CompareAndSwap(false, true) {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		case "/grpc":
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", "application/grpc")
			w.Header().Set("Trailer", "Grpc-Status")
			_, _ = io.WriteString(w, strings.Repeat("\x00\x00\x00\x00\x01a", 3))
			w.Header().Set("Grpc-Status", r.Header.Get("Want-Status"))
		default:
			fmt.Fprint(w, "hello")
		}
	}))
	s.Config.Protocols = &http.Protocols{}
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func virtualService(rule string) string {
	return `
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {namespace: default, name: server}
spec: {hosts: [server], http: [{` + rule + `route: [{destination: {host: server}}]}]}
`
}

// TestMetricContract sends requests through a caller's and a server's Envoy and compares every label of what their agents serve.
func TestMetricContract(t *testing.T) {
	const source, destination = telemetry.Source, telemetry.Destination
	one := func(labels map[string]string) []metric { return []metric{{labels, 1}} }
	grpc := []string{"request_protocol", "grpc", "grpc_response_status", "5"}
	unknownHost := func(changes ...string) []metric {
		return one(labelsOf(source, append([]string{"destination", "unknown", "source_principal", "unknown", "destination_service", "unknown",
			"destination_service_namespace", "unknown"}, changes...)...))
	}
	for name, c := range map[string]struct {
		port, rules string
		host, path  string
		header      http.Header
		atSource    []metric
		atServer    []metric
	}{
		"answered": {atSource: one(labelsOf(source)), atServer: one(labelsOf(destination))},
		"forged headers": {
			header: http.Header{
				"X-Envoy-Peer-Metadata": {"admin"}, "X-Envoy-Peer-Metadata-Id": {"admin"}, "X-Istio-Attributes": {"admin"},
				"X-Forwarded-Client-Cert": {"URI=spiffe://cluster.local/ns/default/sa/admin"}, "Istio-Workload": {"admin"},
			},
			atSource: one(labelsOf(source)), atServer: one(labelsOf(destination)),
		},
		"grpc": {
			port: "grpc", path: "/grpc", header: http.Header{"Content-Type": {"application/grpc+proto"}, "Want-Status": {"5"}},
			atSource: one(labelsOf(source, grpc...)), atServer: one(labelsOf(destination, grpc...)),
		},
		"timed out": {
			rules: virtualService("timeout: 0.2s, "), path: "/slow",
			atSource: one(labelsOf(source, "response_code", "504", "response_flags", "UT")),
			atServer: one(labelsOf(destination, "response_code", "0", "response_flags", "DC")),
		},
		"reset": {
			rules: virtualService("retries: {attempts: 0}, "), path: "/reset",
			atSource: one(labelsOf(source, "response_code", "503")),
			atServer: one(labelsOf(destination, "response_code", "503", "response_flags", "UC")),
		},
		"retried": {
			rules: virtualService("retries: {attempts: 2, retryOn: 5xx}, "), path: "/flaky",
			atSource: one(labelsOf(source)),
			atServer: []metric{{labelsOf(destination, "response_code", "503"), 1}, {labelsOf(destination), 1}},
		},
		"denied": {
			rules:    virtualService("fault: {abort: {httpStatus: 403, percentage: {value: 100}}}, "),
			atSource: one(labelsOf(source, "destination", "unknown", "source_principal", "unknown", "response_code", "403", "response_flags", "FI")),
		},
		"unknown host": {
			host:     "nobody.example.com",
			atSource: unknownHost("response_code", "502", "destination_service_name", "BlackHoleCluster"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.port == "" {
				c.port = "http"
			}
			if c.host == "" {
				c.host = "server.default"
			}
			ca, port := newAuthority(t), envoytest.FreePort(t)
			text := pairMesh(port, c.port, "STRICT", "/dev/null") + c.rules
			_, server := startServerFor(t, text, port, ca.member(t, "server"), metricApp(t))
			caller, client := runOutbound(t, text, "0.0.0.0_80", ca.member(t, "client"))
			caller.post(t, c.host, c.path, c.header)
			wantSeries(t, client, "client", "istio_requests_total", c.atSource...)
			wantSeries(t, server, "server", "istio_requests_total", c.atServer...)
			for _, histogram := range []string{"istio_request_duration_milliseconds", "istio_request_bytes", "istio_response_bytes"} {
				wantSeries(t, client, "client", histogram, c.atSource...)
				wantSeries(t, server, "server", histogram, c.atServer...)
			}
		})
	}
}

// post sends a body of two messages of gRPC.
func (c client) post(t *testing.T, host, path string, header http.Header) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+c.address+path, strings.NewReader(strings.Repeat("\x00\x00\x00\x00\x01a", 2)))
	if err != nil {
		t.Fatal(err)
	}
	request.Host, request.Close = host, true
	maps.Copy(request.Header, header)
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Fatal(err)
	}
}

// TestMetricContractOfTCP also shows that a connection counts as opened while it lasts.
func TestMetricContractOfTCP(t *testing.T) {
	ca, port := newAuthority(t), envoytest.FreePort(t)
	text := pairMesh(port, "tcp", "STRICT", "/dev/null")
	_, server := startServerFor(t, text, port, ca.member(t, "server"), metricApp(t))
	caller, client := runOutbound(t, text, "10.96.0.20_80", ca.member(t, "client"))
	tcp := []string{"request_protocol", "tcp", "response_code", ""}
	atSource, atServer := labelsOf(telemetry.Source, tcp...), labelsOf(telemetry.Destination, tcp...)

	connection, err := net.Dial("tcp", caller.address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	const request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	wantSeries(t, client, "client", "istio_tcp_connections_opened_total", metric{atSource, 1})
	wantSeries(t, server, "server", "istio_tcp_connections_opened_total", metric{atServer, 1})
	wantSeries(t, client, "client", "istio_tcp_connections_closed_total")
	if _, err := io.WriteString(connection, request); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(connection)
	if err != nil {
		t.Fatal(err)
	}
	connection.Close()
	for name, value := range map[string]float64{
		"istio_tcp_connections_opened_total": 1, "istio_tcp_connections_closed_total": 1,
		"istio_tcp_sent_bytes_total": float64(len(answer)), "istio_tcp_received_bytes_total": float64(len(request)),
	} {
		wantSeries(t, client, "client", name, metric{atSource, value})
		wantSeries(t, server, "server", name, metric{atServer, value})
	}
}

// TestMetricsOfPlaintext: the source of a client without a certificate is unknown, whatever headers it sends.
func TestMetricsOfPlaintext(t *testing.T) {
	ca, port := newAuthority(t), envoytest.FreePort(t)
	text := pairMesh(port, "http", "PERMISSIVE", "/dev/null")
	address, server := startServerFor(t, text, port, ca.member(t, "server"), metricApp(t))
	client{address}.getHost(t, "server", "/", http.Header{"X-Forwarded-Client-Cert": {"URI=spiffe://cluster.local/ns/default/sa/client"}})
	wantSeries(t, server, "server", "istio_requests_total", metric{labelsOf(telemetry.Destination, "source", "unknown",
		"destination_principal", "unknown", "connection_security_policy", "none"), 1})
}

// TestMetricsOfAnotherSigner: of a certificate that the mesh trusts and that its CA did not make, the URI name counts.
func TestMetricsOfAnotherSigner(t *testing.T) {
	ca, port := newAuthority(t), envoytest.FreePort(t)
	text := pairMesh(port, "http", "STRICT", "/dev/null")
	_, server := startServerFor(t, text, port, ca.member(t, "server"), metricApp(t))
	foreign := ca.sign(t, &x509.Certificate{
		Subject: telemetry.PeerOf("admin", "kube-system", nil).Subject(),
		URIs:    []*url.URL{{Scheme: "spiffe", Host: "cluster.local", Path: "/ns/default/sa/client"}},
	})
	caller, _ := runOutbound(t, text, "0.0.0.0_80", foreign)
	caller.getHost(t, "server.default", "/", nil)
	wantSeries(t, server, "server", "istio_requests_total", metric{labelsOf(telemetry.Destination, "source", "unknown",
		"source_workload_namespace", "default", "source_principal", "spiffe://cluster.local/ns/default/sa/client"), 1})
}
