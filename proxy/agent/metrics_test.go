package agent

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/mesh-operator/mesh-operator/internal/telemetry"
)

func page(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }
}

// merged is what Prometheus reads from an agent between this Envoy and this application.
func merged(t *testing.T, envoy, app http.HandlerFunc) (int, string) {
	t.Helper()
	envoyServer, appServer := httptest.NewServer(envoy), httptest.NewServer(app)
	defer envoyServer.Close()
	defer appServer.Close()
	port := appServer.Listener.Addr().(*net.TCPAddr).Port
	m := newMerger(telemetry.Own{}, newAdmin(portOf(t, envoyServer.URL)), newProber(netip.MustParseAddr("127.0.0.1")),
		&AppMetrics{Port: uint32(port), Path: "/metrics"}, newCounters(), slog.New(slog.DiscardHandler))
	recorder := httptest.NewRecorder()
	m.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/stats/prometheus", nil))
	return recorder.Code, recorder.Body.String()
}

func portOf(t *testing.T, address string) uint32 {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(port)
}

// noFailures is the agent's own part of a page.
const noFailures = "# HELP istio_agent_pilot_stream_failures_total Streams to pilot that failed to open or ended.\n" +
	"# TYPE istio_agent_pilot_stream_failures_total counter\nistio_agent_pilot_stream_failures_total 0\n" +
	"# HELP istio_agent_scrape_failures_total Failed scrapes of the metrics page of Envoy or of the application.\n" +
	"# TYPE istio_agent_scrape_failures_total counter\n" +
	"istio_agent_scrape_failures_total{type=\"application\"} 0\nistio_agent_scrape_failures_total{type=\"envoy\"} 0\n"

func TestMerge(t *testing.T) {
	_, got := merged(t,
		page("# TYPE envoy_istio_requests_total counter\nenvoy_istio_requests_total{reporter=\"source\"} 3\n# TYPE envoy_server_live gauge\nenvoy_server_live{} 1\n"),
		page("# HELP http_total Requests.\n# TYPE http_total counter\nhttp_total{code=\"200\"} 7\n# TYPE istio_requests_total counter\nistio_requests_total 9\n  envoy_server_live 0\n"))
	const total = "# TYPE istio_requests_total counter\n"
	head, rest, _ := strings.Cut(got, "\n# TYPE envoy_server_live")
	if !strings.HasPrefix(head, total+`istio_requests_total{reporter="source",source_workload="unknown",`) || !strings.HasSuffix(head, "} 3") {
		t.Errorf("the request metrics are not Istio's:\n%s", head)
	}
	got = "# TYPE envoy_server_live" + rest
	want := "# TYPE envoy_server_live gauge\nenvoy_server_live{} 1\n" + noFailures +
		"# HELP http_total Requests.\n# TYPE http_total counter\nhttp_total{code=\"200\"} 7\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestMergeServesEnvoyAloneWhenTheApplicationFails(t *testing.T) {
	const envoy = "# TYPE envoy_server_live gauge\nenvoy_server_live{} 1\n"
	for name, app := range map[string]http.HandlerFunc{
		"Status":   func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusInternalServerError) },
		"NotAPage": page("<html>"),
		"TooLarge": func(w http.ResponseWriter, _ *http.Request) {
			chunk := bytes.Repeat([]byte("#\n"), 1<<19)
			for range 17 {
				_, _ = w.Write(chunk)
			}
		},
		"SpeaksForTheProxy": page("http_total{__name__=\"istio_requests_total\"} 7\n"),
		"QuotedName":        page("{\"istio_requests_total\"} 7\n"),
	} {
		t.Run(name, func(t *testing.T) {
			code, got := merged(t, page(envoy), app)
			if code != http.StatusOK || got != envoy+noFailures {
				t.Errorf("status %d, page:\n%.300s", code, got)
			}
		})
	}
}

// TestMergeRefusesRedirectsToOtherServers: a redirect to another server, even of the same pod, brings nothing onto the open port.
func TestMergeRefusesRedirectsToOtherServers(t *testing.T) {
	const envoy = "# TYPE envoy_server_live gauge\nenvoy_server_live{} 1\n"
	asked := 0
	private := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		fmt.Fprintln(w, "private_total 1")
	}))
	defer private.Close()
	away := func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, private.URL, http.StatusFound) }
	if _, got := merged(t, page(envoy), away); got != envoy+noFailures || asked != 0 {
		t.Errorf("the other server was asked %d times, page:\n%s", asked, got)
	}
	within := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/metrics" {
			http.Redirect(w, r, "/metrics/", http.StatusMovedPermanently)
			return
		}
		fmt.Fprintln(w, "http_total 7")
	}
	if _, got := merged(t, page(envoy), within); !strings.Contains(got, "http_total 7") {
		t.Errorf("a redirect within the application is not followed:\n%s", got)
	}
}

func TestMergeWithoutEnvoy(t *testing.T) {
	code, _ := merged(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "", http.StatusServiceUnavailable) }, page("x 1\n"))
	if code != http.StatusServiceUnavailable {
		t.Errorf("status %d", code)
	}
}

// TestScrapeFailuresAreCounted: an application without metrics is one line in the log however often Prometheus scrapes, one
// more when it has them again, and the page counts the failures. A scraper that closes its connection is no failure.
func TestScrapeFailuresAreCounted(t *testing.T) {
	down, log := true, &bytes.Buffer{}
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if down {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer app.Close()
	envoy := httptest.NewServer(page(""))
	defer envoy.Close()
	m := newMerger(telemetry.Own{}, newAdmin(portOf(t, envoy.URL)), newProber(netip.MustParseAddr("127.0.0.1")),
		&AppMetrics{Port: portOf(t, app.URL), Path: "/metrics"}, newCounters(), slog.New(slog.NewTextHandler(log, nil)))
	scrape := func(ctx context.Context) string {
		recorder := httptest.NewRecorder()
		m.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/stats/prometheus", nil).WithContext(ctx))
		return recorder.Body.String()
	}
	for range 50 {
		scrape(t.Context())
	}
	down = false
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	scrape(gone)
	got := scrape(t.Context())
	if !strings.Contains(got, `istio_agent_scrape_failures_total{type="application"} 50`) || !strings.Contains(got, `{type="envoy"} 0`) {
		t.Errorf("the page says\n%s", got)
	}
	if strings.Count(log.String(), "\n") != 2 || !strings.Contains(log.String(), `reason="status 500"`) || !strings.Contains(log.String(), "succeeds again") {
		t.Errorf("the log says\n%s", log)
	}
}

// FuzzCleanApp: whatever an application serves, nothing of it bears a name of the proxy's, and what comes out is a page.
func FuzzCleanApp(f *testing.F) {
	f.Add("http_total 1\nistio_requests_total 2\n")
	f.Add("{\"envoy_x\",a=\"b\"} 1\n")
	f.Add("a{__name__=\"istio_x\"} 1\n")
	f.Add("# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		clean, err := cleanApp([]byte(text))
		if err != nil {
			return
		}
		parser := expfmt.NewTextParser(model.LegacyValidation)
		families, err := parser.TextToMetricFamilies(bytes.NewReader(clean))
		if err != nil {
			t.Fatalf("what comes out is not a page: %v\n%s", err, clean)
		}
		for name := range families {
			if reserved(name) {
				t.Errorf("%s gets through", name)
			}
		}
		if strings.Contains(string(clean), "__name__") {
			t.Errorf("a second name gets through:\n%s", clean)
		}
	})
}
