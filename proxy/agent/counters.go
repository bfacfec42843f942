package agent

import (
	"bytes"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

// counters are the agent's own metrics. Their names are the proxy's: no application can pretend to them.
type counters struct {
	registry *prometheus.Registry
	probes   *prometheus.CounterVec
	scrapes  *prometheus.CounterVec
	streams  prometheus.Counter
}

func newCounters() *counters {
	c := &counters{
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
func (c *counters) page() ([]byte, error) {
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
