package agent

import (
	"bytes"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"golang.org/x/time/rate"
)

// counts are the agent's own metrics. Their names are the proxy's: no application can pretend to them.
type counts struct {
	registry *prometheus.Registry
	probes   *prometheus.CounterVec
	scrapes  *prometheus.CounterVec
	streams  prometheus.Counter
}

func newCounts() *counts {
	c := &counts{
		registry: prometheus.NewRegistry(),
		probes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "istio_agent_probe_failures_total", Help: "Probes that the application failed, by path of the agent.",
		}, []string{"path"}),
		scrapes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "istio_agent_scrape_failures_total", Help: "Pages of metrics that could not be read, of envoy or of the application.",
		}, []string{"type"}),
		streams: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "istio_agent_pilot_stream_failures_total", Help: "Streams to pilot that could not be opened, or have ended.",
		}),
	}
	c.registry.MustRegister(c.probes, c.scrapes, c.streams)
	return c
}

// page is what Prometheus reads.
func (c *counts) page() ([]byte, error) {
	families, err := c.registry.Gather()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(&out, family); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

// outcomes follows one thing that is tried again and again, by anybody: each failure counts, and the log hears when it
// begins to fail, fails for another reason, and works again.
type outcomes struct {
	log              *slog.Logger
	fails, recovered string // messages
	failures         prometheus.Counter
	lines            *rate.Limiter // of something that keeps changing

	mu   sync.Mutex
	told string // why it fails, as the log has heard; "": it works
}

func newOutcomes(log *slog.Logger, fails, recovered string, failures prometheus.Counter) *outcomes {
	return &outcomes{log: log, fails: fails, recovered: recovered, failures: failures, lines: rate.NewLimiter(rate.Every(time.Minute), 10)}
}

// add takes one more outcome; nil is success. A change that the log may not hear of yet is told with a later outcome.
func (o *outcomes) add(err error) {
	why := ""
	if err != nil {
		why = reason(err)
		o.failures.Inc()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if why == o.told || !o.lines.Allow() {
		return
	}
	o.told = why
	if err == nil {
		o.log.Info(o.recovered)
		return
	}
	o.log.Info(o.fails, "reason", why, "error", err)
}
