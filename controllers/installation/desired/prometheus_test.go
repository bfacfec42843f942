package desired

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// promtool runs promtool of Prometheus 2.42, the oldest that the configuration has to work with.
func promtool(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cache := os.Getenv("MESH_CACHE")
	if cache == "" {
		home, _ := os.UserHomeDir()
		cache = filepath.Join(home, ".cache", "mesh-operator")
	}
	path := filepath.Join(cache, "prometheus-2.42.0", "usr/bin/promtool")
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("no promtool at %s: run `make prometheus` once", path)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

var podDiscovery = regexp.MustCompile(`(?m)^  kubernetes_sd_configs:\n  - role: pod\n(    namespaces:\n      names: .*\n)?`)

// TestPrometheusConfiguration: Prometheus accepts the files of the ConfigMap.
func TestPrometheusConfiguration(t *testing.T) {
	data, _, _ := unstructured.NestedStringMap(find(t, build(t, nil, true), "ConfigMap istio-system/prometheus").Object, "data")
	dir := t.TempDir()
	for name, text := range data {
		text = strings.ReplaceAll(text, "/etc/prometheus/", dir+"/")
		text = podDiscovery.ReplaceAllString(text, "  file_sd_configs:\n  - files: [pods.json]\n") // Debian's lacks the other
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out := promtool(t, dir, "check", "config", "--syntax-only", "prometheus.yml"); !strings.Contains(out, "is valid prometheus config file syntax") {
		t.Error(out)
	}
	if out := promtool(t, dir, "check", "rules", "rules.yml"); !strings.Contains(out, "9 rules found") {
		t.Error(out)
	}
}

// TestAlerts fires every alert, and none in a healthy mesh.
func TestAlerts(t *testing.T) {
	dir := "../../../charts/prometheus/files"
	promtool(t, dir, "test", "rules", "rules_test.yml")
	rules, err := os.ReadFile(filepath.Join(dir, "rules.yml"))
	if err != nil {
		t.Fatal(err)
	}
	cases, err := os.ReadFile(filepath.Join(dir, "rules_test.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(rules)) {
		if _, alert, found := strings.Cut(line, "- alert: "); found {
			alert = strings.TrimSpace(alert)
			if strings.Count(string(cases), "alertname: "+alert) != 2 {
				t.Errorf("rules_test.yml does not test that %s fires, and that it does not", alert)
			}
		}
	}
}

// TestPrometheusStorage: the oldest metrics go before the volume is full, and go early without a volume.
func TestPrometheusStorage(t *testing.T) {
	for spec, want := range map[string]string{
		`{}`:                                 "6h 1638MB",
		`prometheus: {retention: 2d}`:        "2d 1638MB",
		`prometheus: {volume: {}}`:           "15d 8192MB",
		`prometheus: {volume: {size: 20Gi}}`: "15d 16384MB",
		`prometheus: {retention: 4w, volume: {size: 1Gi}}`: "4w 819MB",
	} {
		values, err := prometheusValues(Input{Spec: specOf(t, spec)})
		if err != nil {
			t.Fatal(err)
		}
		if got := values["retention"].(string) + " " + values["retentionSize"].(string); got != want {
			t.Errorf("%s: got %s, want %s", spec, got, want)
		}
	}
}
