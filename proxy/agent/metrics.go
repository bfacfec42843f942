package agent

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/mesh-operator/mesh-operator/internal/telemetry"
)

const (
	appMetricsLimit = 16 << 20
	scrapeTimeout   = 5 * time.Second
)

// AppMetrics is where the application serves its metrics.
type AppMetrics struct {
	Port uint32
	Path string
}

// merger serves the metrics of Envoy, the agent and the application as one page, because Prometheus scrapes one port of a pod.
type merger struct {
	own   telemetry.Own
	admin *admin
	app   *AppMetrics
	url   string
	http  *http.Client

	counters       *counters
	ofEnvoy, ofApp *failureLog
}

func newMerger(own telemetry.Own, a *admin, p *prober, app *AppMetrics, n *counters, log *slog.Logger) *merger {
	m := &merger{own: own, admin: a, app: app, counters: n}
	m.ofEnvoy = newFailureLog(log, "scrape of envoy fails", "scrape of envoy succeeds again", n.scrapes.with("envoy"))
	if app != nil {
		m.url = "http://" + p.address("", int(app.Port)) + app.Path
		m.http = &http.Client{
			Timeout:       scrapeTimeout,
			Transport:     &http.Transport{DialContext: p.dialer.DialContext, MaxIdleConns: 1},
			CheckRedirect: sameServerRedirects,
		}
		m.ofApp = newFailureLog(log.With("url", m.url), "scrape of the application fails", "scrape of the application succeeds again",
			n.scrapes.with("application"))
	}
	return m
}

// sameServerRedirects follows redirects to the same host and port only: the page is served on an open port, and the agent can
// reach servers that the scraper cannot.
func sameServerRedirects(request *http.Request, via []*http.Request) error {
	if request.URL.Host != via[0].URL.Host {
		return http.ErrUseLastResponse
	}
	return sameHostRedirects(request, via)
}

// ServeHTTP writes the pages that it can read: when the application is down, the proxy's metrics show it.
func (m *merger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	began, err := m.copyEnvoy(r.Context(), w)
	if r.Context().Err() != nil {
		return // the client closed the connection
	}
	m.ofEnvoy.record(err)
	switch {
	case !began:
		http.Error(w, "envoy's metrics: "+err.Error(), http.StatusServiceUnavailable)
	case err == nil && m.app != nil:
		if err := m.copyApp(r.Context(), w); r.Context().Err() == nil {
			m.ofApp.record(err)
		}
	}
}

// copyEnvoy writes the metrics of Envoy and of the agent; false when nothing was written.
func (m *merger) copyEnvoy(ctx context.Context, w io.Writer) (bool, error) {
	body, err := m.admin.do(ctx, http.MethodGet, "/stats/prometheus")
	if err != nil {
		return false, err
	}
	defer body.Close()
	if err := m.own.Rewrite(w, body); err != nil {
		return true, err
	}
	own, err := m.counters.page()
	if err != nil {
		return true, err
	}
	_, err = w.Write(own)
	return true, err
}

func (m *merger) copyApp(ctx context.Context, w io.Writer) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "text/plain;version=0.0.4")
	response, err := m.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return publicError(fmt.Sprintf("status %d", response.StatusCode))
	}
	page, err := io.ReadAll(io.LimitReader(response.Body, appMetricsLimit+1))
	if err != nil {
		return err
	}
	if len(page) > appMetricsLimit {
		return publicError(fmt.Sprintf("page is larger than %d bytes", appMetricsLimit))
	}
	clean, err := cleanApp(page)
	if err != nil {
		return err
	}
	_, err = w.Write(clean)
	return err
}

// cleanApp removes metrics with the proxy's names from an application's page, so that an application cannot forge the proxy's
// metrics. It parses the page and writes it again, so that an unusual spelling of a name is not missed. It changes page.
func cleanApp(page []byte) ([]byte, error) {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(sanitize(page)))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(families)) {
		if reserved(name) {
			continue
		}
		if _, err := expfmt.MetricFamilyToText(&out, families[name]); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

func reserved(name string) bool {
	return strings.HasPrefix(name, "istio_") || strings.HasPrefix(name, "envoy_")
}
