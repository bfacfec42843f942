package dataplane

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

const page = `# HELP pilot_proxy_pods Running pods with a proxy of the mesh.
# TYPE pilot_proxy_pods gauge
pilot_proxy_pods{type="router",version=""} 2
pilot_proxy_pods{type="sidecar",version=""} 1
pilot_proxy_pods{type="sidecar",version="aa"} 5
pilot_proxy_pods{type="sidecar",version="other"} 1e+03
# TYPE pilot_proxy_synced gauge
pilot_proxy_synced 1004
# TYPE pilot_xds_pushes counter
pilot_xds_pushes{type="CDS"} 7
`

// servePages starts a server for each page; an empty one fails.
func servePages(t *testing.T, pages ...string) []string {
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
	d := NewPoller(slog.New(slog.DiscardHandler), func() { changes++ })
	check := func(want *Counts, wantChanges int, pages ...string) {
		t.Helper()
		d.targets = servePages(t, pages...)
		d.poll(t.Context())
		if diff := cmp.Diff(Result{true, want}, d.result); diff != "" {
			t.Errorf("%d pages (-want +got):\n%s", len(pages), diff)
		}
		if changes != wantChanges {
			t.Errorf("%d changes, want %d", changes, wantChanges)
		}
	}
	if got := d.Update(nil); got.Polled {
		t.Errorf("before the first poll: %v", got)
	}
	sidecars := map[string]int{"": 1, "aa": 5, "other": 1000}
	check(&Counts{Sidecars: sidecars, Gateways: 2, Synced: 1004}, 1, page)
	check(&Counts{Sidecars: sidecars, Gateways: 2, Synced: 1004}, 1, page)
	check(&Counts{Sidecars: sidecars, Gateways: 2, Synced: 1007}, 2, page, strings.Replace(page, "1004", "3", 1))
	check(nil, 3, page, "")
	check(nil, 3)
	check(nil, 3, "go_goroutines 7\n")
}

// TestDataPlaneIgnoresResultsAfterReset are no answers.
func TestDataPlaneIgnoresResultsAfterReset(t *testing.T) {
	d := NewPoller(slog.New(slog.DiscardHandler), func() { t.Error("told") })
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		d.Reset()
		_, _ = w.Write([]byte(page))
	}))
	defer server.Close()
	d.targets = []string{strings.TrimPrefix(server.URL, "http://")}
	d.poll(t.Context())
	if got := d.Update(nil); got.Polled {
		t.Errorf("kept: %v", got.Proxies)
	}
}

// TestOnlyReadyPilotsArePolled because one that starts counts nothing yet.
// TestPollOften: while Ready waits for the proxies it must not wait for the next minute, nor count what was true before.
func TestPollOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		polled := make(chan struct{}, 1)
		d := NewPoller(slog.New(slog.DiscardHandler), func() { polled <- struct{}{} })
		go func() { _ = d.Start(ctx) }()
		synctest.Wait()
		d.result = Result{Polled: true, Proxies: &Counts{Gateways: 1, Synced: 1}}
		began := time.Now()
		d.PollOften(true)
		if got := d.Update(nil); got.Polled {
			t.Errorf("numbers of before are left: %v", got.Proxies)
		}
		if <-polled; time.Since(began) > 2*time.Second {
			t.Errorf("polled after %s", time.Since(began))
		}
		d.PollOften(false)
		synctest.Wait()
		d.Reset()
		began = time.Now()
		if <-polled; time.Since(began) < time.Minute {
			t.Errorf("still polled often: after %s", time.Since(began))
		}
	})
}

func TestOnlyReadyPilotsArePolled(t *testing.T) {
	pilot := func(ip string, status corev1.ConditionStatus) *corev1.Pod {
		pod := &corev1.Pod{}
		pod.Status.PodIP = ip
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status}}
		return pod
	}
	d := NewPoller(slog.New(slog.DiscardHandler), func() {})
	d.Update([]*corev1.Pod{
		pilot("fd00::2", corev1.ConditionTrue), pilot("10.1.0.2", corev1.ConditionTrue), pilot("", corev1.ConditionTrue), pilot("10.1.0.3", corev1.ConditionFalse),
	})
	if diff := cmp.Diff([]string{"10.1.0.2:15014", "[fd00::2]:15014"}, d.targets); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// FuzzParseCounts reads whatever answers at pilot's address: the sum is never negative nor beyond all bounds.
func FuzzParseCounts(f *testing.F) {
	f.Add([]byte(page))
	f.Add([]byte("pilot_proxy_synced NaN\n"))
	f.Add([]byte("pilot_proxy_synced -1\n"))
	f.Add([]byte("pilot_proxy_synced 1e300\n"))
	f.Fuzz(func(t *testing.T, page []byte) {
		counts, err := parseCounts(page)
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
