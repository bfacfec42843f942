package desired

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mesh-operator/mesh-operator/internal/dashboards"
)

// expressions returns the queries of all dashboards, with values for their variables.
func expressions() []string {
	var out []string
	values := strings.NewReplacer("$__rate_interval", "1m", "$service", "a.b", "$workload", "a", "$namespace", "b")
	for _, d := range dashboards.All() {
		for _, row := range d.Rows {
			for _, p := range row.Panels {
				for _, q := range p.Queries {
					out = append(out, values.Replace(q.Expr))
				}
			}
		}
	}
	return out
}

// TestDashboardQueriesParse: Prometheus accepts every query.
func TestDashboardQueriesParse(t *testing.T) {
	rules := "groups:\n- name: dashboards\n  rules:\n"
	all := expressions()
	for i, expr := range all {
		rules += fmt.Sprintf("  - {record: 'a:b:c%d', expr: '%s'}\n", i, strings.ReplaceAll(expr, "'", "''"))
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "rules.yml"), []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := promtool(t, dir, "check", "rules", "rules.yml"); !strings.Contains(out, fmt.Sprintf("%d rules found", len(all))) {
		t.Error(out)
	}
}

var (
	notNames   = regexp.MustCompile(`"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b(sum|avg) by \([^)]*\)`)
	identifier = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*`)
	function   = regexp.MustCompile(`[a-z_]+\(`)
	metricName = regexp.MustCompile("[\"`]((?:pilot|citadel|galley|istio|sidecar_injection)_[a-z0-9_]+)[\"`]")
	recordName = regexp.MustCompile(`record: (\S+)`)
)

// metricsOfOthers are what the libraries of Go programs, Envoy and Prometheus itself export; docs/metrics.md has Envoy's selection.
var metricsOfOthers = []string{
	"up", "process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds", "go_goroutines", "go_memstats_heap_inuse_bytes",
	"envoy_server_memory_allocated", "envoy_server_total_connections", "envoy_server_uptime",
}

// TestDashboardMetricsExist: the queries name only metrics that the roles' sources, docs/metrics.md and the rules of Prometheus have.
func TestDashboardMetricsExist(t *testing.T) {
	known := slices.Clone(metricsOfOthers)
	for _, folder := range []string{"ca", "galley", "injector", "xds", "internal/monitoring", "proxy/agent", "docs/metrics.md", "charts/prometheus/files/rules.yml"} {
		known = append(known, metricsIn(t, filepath.Join("../../..", folder))...)
	}
	checked := 0
	for _, expr := range expressions() {
		text := function.ReplaceAllString(notNames.ReplaceAllString(expr, ""), "")
		for _, name := range identifier.FindAllString(text, -1) {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				if !slices.Contains(known, name) {
					name = strings.TrimSuffix(name, suffix)
				}
			}
			if checked++; !slices.Contains(known, name) && name != "or" {
				t.Errorf("%s: nothing exports %s", expr, name)
			}
		}
	}
	if checked < 80 {
		t.Errorf("%d names were found", checked)
	}
}

// metricsIn finds names of metrics in the sources below path, without tests.
func metricsIn(t *testing.T, path string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(file, "_test.go") {
			return err
		}
		text, err := os.ReadFile(file)
		for _, match := range append(metricName.FindAllStringSubmatch(string(text), -1), recordName.FindAllStringSubmatch(string(text), -1)...) {
			out = append(out, match[1])
		}
		return err
	})
	if err != nil || len(out) == 0 {
		t.Fatalf("metrics in %s: %d, %v", path, len(out), err)
	}
	return out
}

// TestGrafanaFollowsPrometheus: Grafana comes with Prometheus, and its dashboards also for a Grafana of somebody else.
func TestGrafanaFollowsPrometheus(t *testing.T) {
	for spec, want := range map[string]string{
		`{}`:                           "grafana istio-grafana-dashboards",
		`prometheus: {enabled: false}`: "",
		`grafana: {enabled: false}`:    "",
		`grafana: {enabled: true}`:     "grafana istio-grafana-dashboards",
		`{grafana: {external: {url: "https://grafana.example.com"}}, prometheus: {enabled: false}}`: "istio-grafana-dashboards",
	} {
		var got []string
		plan := build(t, []byte(spec), true)
		for _, object := range plan.Objects() {
			if object.GetKind() == "ConfigMap" && strings.Contains(object.GetName(), "grafana") {
				got = append(got, object.GetName())
			}
			if object.GetName() == "istio-grafana-dashboards" && object.GetLabels()["grafana_dashboard"] != "1" {
				t.Error("the dashboards lack the label")
			}
		}
		slices.Sort(got)
		if got := strings.Join(got, " "); got != want {
			t.Errorf("%s: ConfigMaps %q, want %q", spec, got, want)
		}
	}
}

// TestGrafanaCredentials: no password is in any object, and a Secret that spec names is not made.
func TestGrafanaCredentials(t *testing.T) {
	secret := find(t, build(t, nil, true), "Secret istio-system/grafana")
	data, _, _ := unstructured.NestedStringMap(secret.Object, "data")
	if len(data) != 1 || data["username"] == "" || secret.GetAnnotations()["istio.openshift.com/generate"] != "password" {
		t.Errorf("the Secret has the keys %v and the annotations %v", data, secret.GetAnnotations())
	}
	plan := build(t, []byte(`grafana: {credentialsSecretRef: {name: team}, anonymous: true}`), true)
	for _, object := range plan.Objects() {
		if object.GetKind() == "Secret" {
			t.Errorf("Secret %s is made", object.GetName())
		}
	}
	text := show(t, plan, "Deployment istio-system/grafana")
	if strings.Count(text, "name: team") != 2 {
		t.Errorf("the pod does not read the Secret:\n%s", text)
	}
	if ini := show(t, plan, "ConfigMap istio-system/grafana"); !strings.Contains(ini, "[auth.anonymous]\n    enabled = true\n    org_role = Viewer\n") {
		t.Errorf("anonymous has no effect:\n%s", ini)
	}
}
