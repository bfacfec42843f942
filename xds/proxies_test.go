package xds

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// proxyPod is a pod as the source keeps it; args are the agent's.
func proxyPod(name, version string, args ...string) *corev1.Pod {
	always := corev1.ContainerRestartPolicyAlways
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: name}, Status: corev1.PodStatus{Phase: corev1.PodRunning}}
	p.Spec.InitContainers = []corev1.Container{{Name: "istio-proxy", Args: args, RestartPolicy: &always}}
	if version != "" {
		p.Annotations = map[string]string{mesh.SidecarVersion: version}
	}
	return p
}

func proxyMetrics(t *testing.T, pods ...*corev1.Pod) string {
	t.Helper()
	registry := prometheus.NewRegistry()
	snapshot := mesh.Build(nil, mesh.Inputs{Pods: mesh.Objects(pods...)})
	registry.MustRegister(&proxies{snapshot: func() *mesh.Snapshot { return snapshot }, synced: func() map[mesh.Name]bool {
		return map[mesh.Name]bool{{Namespace: "n", Name: "a"}: true, {Namespace: "n", Name: "starting"}: true, {Namespace: "n", Name: "of-no-pod"}: true}
	}})
	w := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	var lines []string
	for line := range strings.Lines(w.Body.String()) {
		if !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

func TestProxyMetrics(t *testing.T) {
	starting, leaving, labelled := proxyPod("starting", "v1", "proxy", "sidecar"), proxyPod("leaving", "v1", "proxy", "sidecar"), proxyPod("labelled", "")
	starting.Status.Phase = corev1.PodPending
	leaving.DeletionTimestamp = &metav1.Time{}
	labelled.Labels = map[string]string{"security.istio.io/tlsMode": "istio"}
	got := proxyMetrics(t, proxyPod("a", "v1", "proxy", "sidecar"), proxyPod("b", "v1", "proxy", "sidecar"), proxyPod("c", "v0", "proxy", "sidecar"),
		proxyPod("old", "", "proxy", "sidecar"), proxyPod("gateway", "", "proxy", "router"), starting, leaving, labelled)
	want := `pilot_proxy_pods{type="router",version=""} 1
pilot_proxy_pods{type="sidecar",version=""} 1
pilot_proxy_pods{type="sidecar",version="v0"} 1
pilot_proxy_pods{type="sidecar",version="v1"} 2
pilot_proxy_synced 1
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestProxyVersionsAreBounded has a pod of its own for each of many versions.
func TestProxyVersionsAreBounded(t *testing.T) {
	var pods []*corev1.Pod
	for i := range 3 * mostVersions {
		pods = append(pods, proxyPod(fmt.Sprint("p", i), fmt.Sprint("v", i), "proxy", "sidecar"))
	}
	got := proxyMetrics(t, pods...)
	if lines := strings.Count(got, "pilot_proxy_pods{"); lines != mostVersions+1 {
		t.Errorf("%d series, want %d", lines, mostVersions+1)
	}
	if other := fmt.Sprintf("pilot_proxy_pods{type=\"sidecar\",version=\"other\"} %d\n", 2*mostVersions); !strings.Contains(got, other) {
		t.Errorf("no %q in:\n%s", other, got)
	}
}
