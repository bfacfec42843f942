package envoy

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	logsv1 "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/grpc"

	"github.com/mesh-operator/mesh-operator/internal/envoytest"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// logCollector receives log entries over OTLP.
type logCollector struct {
	address string

	mu      sync.Mutex
	entries []map[string]string // attributes, and those of the resource
}

func startLogCollector(t *testing.T) *logCollector {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &logCollector{address: listener.Addr().String()}
	s := grpc.NewServer()
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "opentelemetry.proto.collector.logs.v1.LogsService", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Export", Handler: exportLogsTo}},
	}, c)
	go func() { _ = s.Serve(listener) }()
	t.Cleanup(s.Stop)
	return c
}

// exportLogsTo decodes the request as LogsData, which has the same encoding.
func exportLogsTo(c any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	r, into := &logsv1.LogsData{}, c.(*logCollector)
	if err := decode(r); err != nil {
		return nil, err
	}
	into.mu.Lock()
	defer into.mu.Unlock()
	for _, resource := range r.GetResourceLogs() {
		for _, scope := range resource.GetScopeLogs() {
			for _, l := range scope.GetLogRecords() {
				entry := attributes(resource.GetResource().GetAttributes())
				for name, value := range attributes(l.GetAttributes()) {
					entry[name] = value
				}
				entry["body"] = l.GetBody().GetStringValue()
				into.entries = append(into.entries, entry)
			}
		}
	}
	return &logsv1.LogsData{}, nil
}

// entry returns the entry of a side, or nil.
func (c *logCollector) entry(cluster string) map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.entries {
		if strings.HasPrefix(e["upstream_cluster"], cluster) {
			return e
		}
	}
	return nil
}

func collectorConfig(provider, address string) string {
	host, port, _ := net.SplitHostPort(address)
	return fmt.Sprintf(`
---
apiVersion: v1
kind: ConfigMap
metadata: {namespace: istio-system, name: istio}
data: {mesh: '{defaultProviders: {accessLogging: [%[1]s]}, extensionProviders: [{name: %[1]s, envoyOtelAls: {service: "%[2]s", port: %[3]s}}]}'}
`, provider, host, port)
}

// TestAccessLogsReachCollector sends a request with secrets through the proxies of a client and a server.
func TestAccessLogsReachCollector(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=server.default")
	ca, port, collector := newAuthority(t), envoytest.FreePort(t), startLogCollector(t)
	text := pairMesh(port, "http", "STRICT", "/dev/null") + collectorConfig("otel", collector.address)
	startServer(t, text, port, ca.member(t, "server"))
	caller := startOutbound(t, text, "0.0.0.0_80", ca.member(t, "client"))
	caller.getHost(t, "server.default", "/a?token=SECRET", http.Header{"Authorization": {"Bearer SECRET"}, "Cookie": {"a=SECRET"}})
	for deadline := time.Now().Add(20 * time.Second); collector.entry("inbound|") == nil || collector.entry("outbound|") == nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the collector has %v", collector.entries)
		}
	}
	got := collector.entry("inbound|")
	for name, want := range map[string]string{
		"service.name": "server.default", "body": "GET /a HTTP/1.1 200 -", "method": "GET", "path": "/a", "response_code": "200",
		"downstream_peer_uri_san": "spiffe://cluster.local/ns/default/sa/client", "authority": "server.default",
	} {
		if got[name] != want {
			t.Errorf("%s = %q, want %q", name, got[name], want)
		}
	}
	if strings.Contains(fmt.Sprint(collector.entries), "SECRET") {
		t.Errorf("a secret is in %v", collector.entries)
	}
}

// TestLogCollectorDownCostsRequestsNothing: every request is answered as soon as ever, whether the collector refuses connections or
// takes them and never answers.
func TestLogCollectorDownCostsRequestsNothing(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, nobody reads
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	refuses, never := fmt.Sprintf("127.0.0.1:%d", envoytest.FreePort(t)), silent.Addr().String()
	for name, c := range map[string]struct{ provider, address string }{
		"refuses connections":                  {"otel", refuses},
		"never answers":                        {"otel", never},
		"istio-telemetry, refuses connections": {mesh.TelemetryProvider, refuses},
		"istio-telemetry, never answers":       {mesh.TelemetryProvider, never},
	} {
		t.Run(name, func(t *testing.T) {
			ca, port := newAuthority(t), envoytest.FreePort(t)
			text := pairMesh(port, "http", "STRICT", "/dev/null") + collectorConfig(c.provider, c.address)
			startServer(t, text, port, ca.member(t, "server"))
			caller := startOutbound(t, text, "0.0.0.0_80", ca.member(t, "client"))
			for range 100 {
				begin := time.Now()
				if got := caller.getHost(t, "server.default", "/", nil); got.status != 200 {
					t.Fatalf("answer %v", got)
				}
				if d := time.Since(begin); d > 4*time.Second { // Envoy waits 5 s for the collector
					t.Fatalf("a request took %s", d)
				}
			}
		})
	}
}
