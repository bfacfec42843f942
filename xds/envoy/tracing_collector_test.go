package envoy

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
)

// span is what both formats have in common.
type span struct {
	trace, id, parent   string
	service, name, kind string
	tags                map[string]string
}

// testCollector receives the spans of Envoys.
type testCollector struct {
	provider string // of the mesh configuration
	address  string

	mu    sync.Mutex
	spans []span
}

func (c *testCollector) add(spans ...span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spans = append(c.spans, spans...)
}

func (c *testCollector) all() []span {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.spans)
}

// of returns the spans of a trace.
func (c *testCollector) of(trace string) []span {
	return slices.DeleteFunc(c.all(), func(s span) bool { return s.trace != trace })
}

func (c *testCollector) eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timeout: %s; the collector has\n%s", what, tree(c.all()))
		}
	}
}

// meshConfig is the part of the mesh configuration that sends spans here.
func (c *testCollector) meshConfig(sampling float64) string {
	host, port, _ := net.SplitHostPort(c.address)
	return fmt.Sprintf(`{enableTracing: true, defaultProviders: {tracing: [collector]}, defaultConfig: {tracing: {sampling: %g}},
    extensionProviders: [{name: collector, %s: {service: "%s", port: %s}}]}`, sampling, c.provider, host, port)
}

// startZipkin receives Zipkin's JSON (https://zipkin.io/zipkin-api/, version 2).
func startZipkin(t *testing.T) *testCollector {
	t.Helper()
	c := &testCollector{provider: "zipkin"}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var list []struct {
			TraceID, ID, ParentID, Name, Kind string
			LocalEndpoint                     struct{ ServiceName string }
			Tags                              map[string]string
		}
		if err := json.NewDecoder(r.Body).Decode(&list); err != nil || r.Method+r.URL.Path != "POST/api/v2/spans" {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
		}
		for _, s := range list {
			c.add(span{s.TraceID, s.ID, s.ParentID, s.LocalEndpoint.ServiceName, s.Name, s.Kind, s.Tags})
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	t.Cleanup(s.Close)
	c.address = s.Listener.Addr().String()
	return c
}

// startOTLP receives OTLP over gRPC.
func startOTLP(t *testing.T) *testCollector {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &testCollector{provider: "opentelemetry", address: listener.Addr().String()}
	s := grpc.NewServer()
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "opentelemetry.proto.collector.trace.v1.TraceService", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Export", Handler: exportTo}},
	}, c)
	go func() { _ = s.Serve(listener) }()
	t.Cleanup(s.Stop)
	return c
}

// exportTo decodes the request as TracesData, which has the same encoding.
func exportTo(c any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	r := &tracev1.TracesData{}
	if err := decode(r); err != nil {
		return nil, err
	}
	for _, resource := range r.GetResourceSpans() {
		service := attributes(resource.GetResource().GetAttributes())["service.name"]
		for _, scope := range resource.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				c.(*testCollector).add(span{hex.EncodeToString(s.GetTraceId()), hex.EncodeToString(s.GetSpanId()), hex.EncodeToString(s.GetParentSpanId()),
					service, s.GetName(), strings.TrimPrefix(s.GetKind().String(), "SPAN_KIND_"), attributes(s.GetAttributes())})
			}
		}
	}
	return &tracev1.TracesData{}, nil
}

func attributes(list []*commonv1.KeyValue) map[string]string {
	out := map[string]string{}
	for _, a := range list {
		switch v := a.GetValue().GetValue().(type) {
		case *commonv1.AnyValue_StringValue:
			out[a.GetKey()] = v.StringValue
		case *commonv1.AnyValue_IntValue:
			out[a.GetKey()] = strconv.FormatInt(v.IntValue, 10)
		}
	}
	return out
}

// tree draws spans below their parents; one whose parent is missing is a root.
func tree(spans []span) string {
	var b strings.Builder
	has := map[string]bool{}
	for _, s := range spans {
		has[s.trace+s.id] = true
	}
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.service+a.name+a.kind, b.service+b.name+b.kind) })
	var draw func(parent, indent string)
	draw = func(parent, indent string) {
		for _, s := range spans {
			above := s.trace + s.parent
			if !has[above] {
				above = ""
			}
			if above == parent {
				fmt.Fprintf(&b, "%s%s %s %s upstream=%s\n", indent, s.service, s.kind, s.name, s.tags["upstream_cluster"])
				draw(s.trace+s.id, indent+" ")
			}
		}
	}
	draw("", "")
	return b.String()
}
