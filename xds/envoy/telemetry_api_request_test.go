package envoy

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mesh-operator/mesh-operator/internal/envoytest"
	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
)

// telemetryObject is a Telemetry object.
func telemetryObject(namespace, name, spec string) string {
	return fmt.Sprintf(`
---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {namespace: %s, name: %s}
spec: %s
`, namespace, name, spec)
}

// TestAccessLogsFollowTelemetry sends a request that is answered with 200 and one that is answered with 503 from a client to a server,
// both with secrets in all places where clients write them, and reads what their proxies log.
func TestAccessLogsFollowTelemetry(t *testing.T) {
	for name, c := range map[string]struct {
		objects string
		want    map[string]int // entries by side, format and code
	}{
		"none": {want: map[string]int{"client text 200": 1, "client text 503": 1, "server text 200": 1, "server text 503": 1}},
		"off":  {objects: telemetryObject("istio-system", "mesh", `{accessLogging: [{disabled: true}]}`)},
		"off for the mesh and on for a workload": {
			objects: telemetryObject("istio-system", "mesh", `{accessLogging: [{disabled: true}]}`) +
				telemetryObject("default", "server", `{selector: {matchLabels: {app: server}}, accessLogging: [{providers: [{name: envoy}]}]}`),
			want: map[string]int{"server text 200": 1, "server text 503": 1},
		},
		"errors, as the client sees them": {
			objects: telemetryObject("default", "errors", `{accessLogging: [{match: {mode: SERVER}, disabled: true}, {match: {mode: CLIENT}, filter: {expression: "response.code >= 500"}}]}`),
			want:    map[string]int{"client text 503": 1},
		},
		"JSON at the server": {
			objects: telemetryObject("default", "json", `{accessLogging: [{match: {mode: SERVER}, providers: [{name: envoy-json}]}, {match: {mode: CLIENT}, disabled: true}]}`),
			want:    map[string]int{"server JSON 200": 1, "server JSON 503": 1},
		},
		"two providers": {
			objects: telemetryObject("default", "both", `{accessLogging: [{providers: [{name: envoy}, {name: envoy-json}], match: {mode: CLIENT}, filter: {expression: "request.headers['x-test'] == 'yes' && response.code == 200"}}]}`),
			want:    map[string]int{"client text 200": 1, "client JSON 200": 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ca, port, log := newAuthority(t), envoytest.FreePort(t), filepath.Join(t.TempDir(), "access.log")
			text := pairMesh(port, "http", "STRICT", log) + c.objects
			app := serveHandler(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Set-Cookie", "session=SECRET")
				if r.URL.Path == "/failing" {
					w.WriteHeader(http.StatusServiceUnavailable)
				}
			})
			_, server := startServerFor(t, text, port, ca.member(t, "server"), app)
			caller, client := runOutbound(t, text, "0.0.0.0_80", ca.member(t, "client"))
			for _, path := range []string{"/", "/failing"} {
				caller.getHost(t, "server.default", path+"?access_token=SECRET", http.Header{
					"Authorization": {"Bearer SECRET"}, "Cookie": {"session=SECRET"}, "X-Test": {"yes"}, "Referer": {"http://a/?token=SECRET"},
				})
			}
			stopAfterRequests(t, server, "server", 2)
			stopAfterRequests(t, client, "client", 2)
			written, err := os.ReadFile(log)
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			if strings.Contains(string(written), "SECRET") {
				t.Errorf("a secret is in the log:\n%s", written)
			}
			if diff := cmp.Diff(c.want, entries(string(written))); diff != "" {
				t.Errorf("entries (-want +got):\n%s\n%s", diff, written)
			}
		})
	}
}

// stopAfterRequests ends an Envoy that has logged that many requests; it then writes what it holds back.
func stopAfterRequests(t *testing.T, e *envoytest.Envoy, workload string, requests float64) {
	t.Helper()
	e.Eventually("log the requests", func() bool { // the metrics come after the other loggers
		var sum float64
		for _, m := range scrapeAs(t, ownOf(workload), e)["istio_requests_total"] {
			sum += m.value
		}
		return sum == requests
	})
	e.Quit()
}

// entries counts the lines of a log by the side that wrote them, their format and the response's code.
func entries(log string) map[string]int {
	var found map[string]int
	for line := range strings.Lines(log) {
		side, format, code := "client", "text", "200"
		if strings.Contains(line, "inbound|") {
			side = "server"
		}
		if strings.HasPrefix(line, "{") {
			format = "JSON"
		}
		if strings.Contains(line, "503") {
			code = "503"
		}
		if found == nil {
			found = map[string]int{}
		}
		found[side+" "+format+" "+code]++
	}
	return found
}

// TestEnvoyUnderstandsLogFilters: what admission accepts, proxies accept; else one tenant's typing error would keep proxies
// from getting their listeners.
func TestEnvoyUnderstandsLogFilters(t *testing.T) {
	for _, expression := range []string{
		"response.code >= 500 && response.code < 600 || response.code == 0",
		"!(request.method == 'GET') != (request.path.startsWith('/a') ? request.path.endsWith('b') : request.path.contains('c'))",
		"request.path.matches('^/[a-z]+$') && matches(request.host, 'example')",
		"request.headers['x-debug'] == 'yes' && 'x-user' in request.headers && size(request.headers) > 2 && request.host.size() > 1",
		"request.duration > duration('1s') && request.time > timestamp('2020-01-01T00:00:00Z')",
		"request.total_size + 1 - 2 * 3 / 4 % 5 > -1",
		"response.code in [500, 503] || {'a': 1}['a'] == 1",
		"connection.mtls && connection.uri_san_peer_certificate != '' && has(upstream.address)",
		"xds.cluster_name == 'outbound|80||a' && metadata.a.b == 'c' && filter_state['x'] == 'y'",
		"true",
	} {
		if err := istioconfig.CheckLogFilter(expression); err != nil {
			t.Errorf("%s: %v", expression, err)
			continue
		}
		text := pairMesh(8080, "http", "STRICT", "/dev/null") + telemetryObject("default", "filter", fmt.Sprintf("{accessLogging: [{filter: {expression: %q}}]}", expression))
		b := bootstrapFor(t, text, "default/server")
		newAuthority(t).member(t, "server").install(t, b)
		e := envoytest.Start(t, b)
		e.WaitLive()
		e.Stop()
	}
}

// TestSpansFollowTelemetry sends one request through a gateway and two workloads, of which b reports no spans as a server.
func TestSpansFollowTelemetry(t *testing.T) {
	collector := startZipkin(t)
	mesh := startTracedMesh(t, collector.meshConfig(0), false,
		telemetryObject("istio-system", "mesh", `{tracing: [{randomSamplingPercentage: 100, customTags: {stage: {literal: {value: test}}, user: {header: {name: x-user, defaultValue: nobody}}, zone: {environment: {name: POD_NAMESPACE}}}}]}`),
		telemetryObject("default", "b", `{selector: {matchLabels: {app: b}}, tracing: [{match: {mode: SERVER}, disableSpanReporting: true}]}`),
		telemetryObject("default", "a", `{selector: {matchLabels: {app: a}}, tracing: [{match: {mode: CLIENT}, customTags: {own: {literal: {value: a}}}}]}`))
	if got := mesh.gateway.getHost(t, "shop.example.com", "/", http.Header{"X-User": {"jason"}}); got.status != 200 {
		t.Fatalf("answer %v", got)
	}
	collector.eventually(t, "three spans", func() bool { return len(collector.all()) >= 3 })
	want := map[string]string{
		"istio-ingressgateway.edge CLIENT": "stage=test user=jason zone=edge own=",
		"a.default SERVER":                 "stage=test user=jason zone=default own=",
		"a.default CLIENT":                 "stage= user= zone= own=a",
	}
	got := map[string]string{}
	for _, s := range collector.all() {
		got[s.service+" "+s.kind] = fmt.Sprintf("stage=%s user=%s zone=%s own=%s", s.tags["stage"], s.tags["user"], s.tags["zone"], s.tags["own"])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
}
