package agent

import (
	"bufio"
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
)

const (
	appMetricsLimit = 16 << 20
	scrapeTimeout   = 5 * time.Second
)

// AppMetrics is where the application's own metrics are.
type AppMetrics struct {
	Port uint32
	Path string
}

// merger serves Envoy's metrics and the application's as one page, because Prometheus scrapes a pod once.
type merger struct {
	admin *admin
	app   *AppMetrics
	url   string
	http  *http.Client

	counters       *counters
	ofEnvoy, ofApp *failureLog
}

func newMerger(a *admin, p *prober, app *AppMetrics, n *counters, log *slog.Logger) *merger {
	m := &merger{admin: a, app: app, counters: n}
	m.ofEnvoy = newFailureLog(log, "envoy's metrics cannot be read", "envoy's metrics can be read again", n.scrapes.WithLabelValues("envoy"))
	if app != nil {
		m.url = "http://" + p.address("", int(app.Port)) + app.Path
		m.http = &http.Client{
			Timeout:       scrapeTimeout,
			Transport:     &http.Transport{DialContext: p.dialer.DialContext, MaxIdleConns: 1},
			CheckRedirect: sameServerRedirects,
		}
		m.ofApp = newFailureLog(log.With("url", m.url), "application's metrics cannot be merged", "application's metrics are merged again",
			n.scrapes.WithLabelValues("application"))
	}
	return m
}

// stayOnPort follows redirects within the server that was named: the page goes out on an open port, and the agent reaches
// what others do not, on its own pod and elsewhere.
func sameServerRedirects(request *http.Request, via []*http.Request) error {
	if request.URL.Host != via[0].URL.Host {
		return http.ErrUseLastResponse
	}
	return sameHostRedirects(request, via)
}

// ServeHTTP writes what it can get. Half a page beats none: when the application is down, its proxy's metrics say so.
func (m *merger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	began, err := m.copyEnvoy(r.Context(), w)
	if r.Context().Err() != nil {
		return // whoever asked has gone, which is nobody's failure
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

// copyEnvoy writes Envoy's metrics and the agent's own; false when nothing was written.
func (m *merger) copyEnvoy(ctx context.Context, w io.Writer) (bool, error) {
	body, err := m.admin.do(ctx, http.MethodGet, "/stats/prometheus")
	if err != nil {
		return false, err
	}
	defer body.Close()
	if err := renameIstio(w, body); err != nil {
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

// cleanApp returns an application's page without the names that speak for the proxy: an application does not testify
// about its own traffic. The page is parsed and written again, so that no trick of spelling gets past. It changes page.
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

// renameIstio copies Envoy's page and gives the mesh's own metrics their well-known names: Envoy puts "envoy_" before all.
func renameIstio(w io.Writer, page io.Reader) error {
	const theirs, ours = "envoy_istio_", "istio_"
	in, out := bufio.NewReaderSize(page, 64<<10), bufio.NewWriterSize(w, 64<<10)
	for {
		line, err := in.ReadString('\n')
		prefix := ""
		if strings.HasPrefix(line, "# TYPE ") {
			prefix = "# TYPE "
		}
		if rest, ok := strings.CutPrefix(line[len(prefix):], theirs); ok {
			line = prefix + ours + rest
		}
		if _, writeErr := out.WriteString(line); writeErr != nil {
			return writeErr
		}
		if err == io.EOF {
			return out.Flush()
		}
		if err != nil {
			return err
		}
	}
}
