package agent

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// podEnv is what the injector sets; each case changes some of it.
func podEnv(changes map[string]string) func(string) string {
	env := map[string]string{
		"POD_NAME": "reviews-v1-abc", "POD_NAMESPACE": "bookinfo", "SERVICE_ACCOUNT": "bookinfo-reviews",
		"NODE_NAME": "node-1", "INSTANCE_IP": "10.0.0.7", "INSTANCE_IPS": "10.0.0.7", "ISTIO_META_WORKLOAD_NAME": "reviews-v1",
		"CA_ADDRESS": "istio-citadel.istio-system.svc:8060", "PILOT_ADDRESS": "istio-pilot.istio-system.svc:15011",
		"TRUST_DOMAIN": "cluster.local", "MESH_REVISION": "default", "PROXY_CONCURRENCY": "2", "PROXY_LOG_LEVEL": "warning",
		"TERMINATION_DRAIN_DURATION": "5s",
	}
	for name, value := range changes {
		env[name] = value
	}
	return func(name string) string { return env[name] }
}

func TestEnvironment(t *testing.T) {
	got, err := Environment(Sidecar, podEnv(map[string]string{
		"INSTANCE_IPS":                 "10.0.0.7,fd00::7",
		"ISTIO_PROMETHEUS_ANNOTATIONS": `{"scrape":"true","port":"9080","path":"m"}`,
		"TERMINATION_DRAIN_DURATION":   "1m",
		"DRAIN_DURATION":               "30s",
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Role: Sidecar, PodName: "reviews-v1-abc", Namespace: "bookinfo", ServiceAccount: "bookinfo-reviews", NodeName: "node-1",
		IPs:      []netip.Addr{netip.MustParseAddr("10.0.0.7"), netip.MustParseAddr("fd00::7")},
		Workload: "reviews-v1", TrustDomain: "cluster.local", Revision: "default",
		CAAddress: "istio-citadel.istio-system.svc:8060", PilotAddress: "istio-pilot.istio-system.svc:15011",
		PilotServerName: "istio-pilot.istio-system.svc", Metrics: &AppMetrics{Port: 9080, Path: "/m"}, Concurrency: 2,
		LogLevel: "warning", DrainDuration: time.Minute, ListenerDrain: 30 * time.Second, Dir: DefaultDir, EnvoyPath: DefaultEnvoyPath, Ports: DefaultPorts,
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if args := strings.Join(envoyArgs(got), " "); !strings.Contains(args, "--drain-time-s 30 ") || !strings.Contains(args, "--concurrency 2") {
		t.Errorf("envoy is started with %s", args)
	}
}

func TestEnvironmentNamesTheVariable(t *testing.T) {
	for name, c := range map[string]struct{ variable, value, says string }{
		"NoPodName":       {"POD_NAME", "", "POD_NAME is not set"},
		"NoAddress":       {"INSTANCE_IP", "", "INSTANCE_IP is not set"},
		"BadAddress":      {"INSTANCE_IPS", "10.0.0.7,nonsense", `INSTANCE_IPS is "nonsense", want an IP address`},
		"NoPort":          {"PILOT_ADDRESS", "istio-pilot", `PILOT_ADDRESS is "istio-pilot", want host:port`},
		"BadNumber":       {"PROXY_CONCURRENCY", "many", `PROXY_CONCURRENCY is "many", want a number from 0 to 1024`},
		"BadDuration":     {"TERMINATION_DRAIN_DURATION", "5", `TERMINATION_DRAIN_DURATION is "5", want a duration such as 5s`},
		"BadLevel":        {"PROXY_LOG_LEVEL", "loud", `PROXY_LOG_LEVEL is "loud", want one of`},
		"BadJSON":         {"ISTIO_KUBE_APP_PROBERS", "[]", "ISTIO_KUBE_APP_PROBERS is not valid JSON"},
		"BadProbePath":    {"ISTIO_KUBE_APP_PROBERS", `{"/etc/passwd":{"tcpSocket":{"port":1}}}`, "ISTIO_KUBE_APP_PROBERS entry"},
		"ProbeWithout":    {"ISTIO_KUBE_APP_PROBERS", `{"/app-health/a/readyz":{}}`, "needs exactly one of"},
		"ProbeNamedPort":  {"ISTIO_KUBE_APP_PROBERS", `{"/app-health/a/readyz":{"httpGet":{"port":"http"}}}`, "port is not a number"},
		"BadMetricsPort":  {"ISTIO_PROMETHEUS_ANNOTATIONS", `{"scrape":"true","port":"x"}`, `ISTIO_PROMETHEUS_ANNOTATIONS has port "x"`},
		"BadMetricsValue": {"ISTIO_PROMETHEUS_ANNOTATIONS", `x`, "ISTIO_PROMETHEUS_ANNOTATIONS is not valid JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Environment(Router, podEnv(map[string]string{c.variable: c.value}))
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error is %v, want one that says %q", err, c.says)
			}
		})
	}
}

func TestParseLabels(t *testing.T) {
	got, err := ParseLabels("app=\"reviews\"\nquote=\"a\\\"b\"\nempty=\"\"\n")
	want := map[string]string{"app": "reviews", "quote": `a"b`, "empty": ""}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v, -want +got:\n%s", err, diff)
	}
	for _, bad := range []string{"app", "app=reviews", `="x"`} {
		if _, err := ParseLabels(bad); err == nil {
			t.Errorf("ParseLabels(%q) succeeds", bad)
		}
	}
}

func FuzzParseLabels(f *testing.F) {
	f.Add("app=\"reviews\"\nversion=\"v1\"")
	f.Fuzz(func(t *testing.T, text string) {
		labels, err := ParseLabels(text)
		if err != nil {
			return
		}
		again, err := ParseLabels(FormatLabels(labels))
		if err != nil || !cmp.Equal(labels, again) {
			t.Errorf("what parses does not print back the same: %v %q", err, text)
		}
	})
}
