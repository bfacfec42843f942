package installation

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
)

const result = `# HELP pilot_proxy_pods Running pods with a proxy of the mesh.
# TYPE pilot_proxy_pods gauge
pilot_proxy_pods{type="router",version=""} 2
pilot_proxy_pods{type="sidecar",version=""} 1
pilot_proxy_pods{type="sidecar",version="aa"} 5
pilot_proxy_pods{type="sidecar",version="other"} 1e+03
pilot_proxy_synced 1004
pilot_xds_pushes{type="CDS"} 7
`

// pilotsSaying starts a server for each page; an empty one fails.
func pilotsSaying(t *testing.T, pages ...string) []string {
	t.Helper()
	var addresses []string
	for _, page := range pages {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if page == "" {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			_, _ = w.Write([]byte(page))
		}))
		t.Cleanup(server.Close)
		addresses = append(addresses, strings.TrimPrefix(server.URL, "http://"))
	}
	return addresses
}

func TestDataPlanePolling(t *testing.T) {
	changes := 0
	d := newDataPlane(slog.New(slog.DiscardHandler), func() { changes++ })
	check := func(want *proxyCounts, wantChanges int, pages ...string) {
		t.Helper()
		d.targets = pilotsSaying(t, pages...)
		d.poll(t.Context())
		if diff := cmp.Diff(dataPlaneResult{true, want}, d.result); diff != "" {
			t.Errorf("pilots say %d pages (-want +got):\n%s", len(pages), diff)
		}
		if changes != wantChanges {
			t.Errorf("%d changes, want %d", changes, wantChanges)
		}
	}
	if got := d.Update(nil); got.Polled {
		t.Errorf("before anybody was asked: %v", got)
	}
	sidecars := map[string]int{"": 1, "aa": 5, "other": 1000}
	check(&proxyCounts{Sidecars: sidecars, Gateways: 2, Synced: 1004}, 1, result)
	check(&proxyCounts{Sidecars: sidecars, Gateways: 2, Synced: 1004}, 1, result)
	check(&proxyCounts{Sidecars: sidecars, Gateways: 2, Synced: 1007}, 2, result, strings.Replace(result, "1004", "3", 1))
	check(nil, 3, result, "")
	check(nil, 3)
	check(nil, 3, "go_goroutines 7\n")
}

// TestDataPlaneIgnoresResultsAfterReset are no answers.
func TestDataPlaneIgnoresResultsAfterReset(t *testing.T) {
	d := newDataPlane(slog.New(slog.DiscardHandler), func() { t.Error("told") })
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		d.Forget()
		_, _ = w.Write([]byte(result))
	}))
	defer server.Close()
	d.targets = []string{strings.TrimPrefix(server.URL, "http://")}
	d.poll(t.Context())
	if got := d.Update(nil); got.Polled {
		t.Errorf("kept: %v", got.Proxies)
	}
}

func TestDataPlaneStatus(t *testing.T) {
	old := &v1alpha1.DataPlaneStatus{Proxies: 1}
	counts := &proxyCounts{Sidecars: map[string]int{"": 1, "now": 5, "before": 2}, Gateways: 2, Synced: 9}
	cases := map[string]struct {
		result dataPlaneResult
		want   *v1alpha1.DataPlaneStatus
	}{
		"NotAsked":  {want: old},
		"NoAnswer":  {result: dataPlaneResult{Polled: true}},
		"Answer":    {result: dataPlaneResult{true, counts}, want: &v1alpha1.DataPlaneStatus{Proxies: 10, Outdated: 3, NotSynced: 1}},
		"TwoAtOnce": {result: dataPlaneResult{true, &proxyCounts{Gateways: 1, Synced: 2}}, want: &v1alpha1.DataPlaneStatus{Proxies: 1}},
	}
	for name, c := range cases {
		out := Outcome{Plan: Plan{SidecarVersion: "now"}, DataPlane: c.result}
		if diff := cmp.Diff(c.want, dataPlaneStatus(old, out)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestOnlyReadyPilotsArePolled because one that starts counts nothing yet.
func TestOnlyReadyPilotsArePolled(t *testing.T) {
	ready := func(component, ip string, status corev1.ConditionStatus) *corev1.Pod {
		pod := runningAt(component, corev1.PodRunning, "10.0.0.1")
		pod.Status.PodIP = ip
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status}}
		return pod
	}
	d := newDataPlane(slog.New(slog.DiscardHandler), func() {})
	d.Update([]*corev1.Pod{
		ready("pilot", "fd00::2", corev1.ConditionTrue), ready("pilot", "10.1.0.2", corev1.ConditionTrue), ready("pilot", "", corev1.ConditionTrue),
		ready("pilot", "10.1.0.3", corev1.ConditionFalse), ready("citadel", "10.1.0.4", corev1.ConditionTrue),
	})
	if diff := cmp.Diff([]string{"10.1.0.2:15014", "[fd00::2]:15014"}, d.targets); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// FuzzParseProxyCounts reads whatever answers at pilot's address: the sum is never negative nor beyond all bounds.
func FuzzParseProxyCounts(f *testing.F) {
	f.Add([]byte(result))
	f.Add([]byte("pilot_proxy_synced NaN\n"))
	f.Add([]byte("pilot_proxy_synced -1\n"))
	f.Add([]byte("pilot_proxy_synced 1e300\n"))
	f.Fuzz(func(t *testing.T, page []byte) {
		counts, err := parseProxyCounts(page)
		if err != nil {
			return
		}
		for version, count := range counts.Sidecars {
			if count < 0 || counts.Gateways < 0 || counts.Synced < 0 || counts.Synced > maxPods {
				t.Errorf("version %q: %d, gateways %d, synced %d", version, count, counts.Gateways, counts.Synced)
			}
		}
	})
}
