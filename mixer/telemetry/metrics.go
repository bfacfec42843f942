package telemetry

import "github.com/prometheus/client_golang/prometheus"

// metrics count what was received and what was dropped.
type metrics struct {
	received prometheus.Counter
	refused  *prometheus.CounterVec
	evicted  *prometheus.CounterVec
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		received: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mesh_telemetry_entries_received_total", Help: "Access log entries that proxies sent."}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mesh_telemetry_requests_refused_total", Help: "Requests with entries that were refused, by reason: busy, identity, invalid."}, []string{"reason"}),
		evicted: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mesh_telemetry_entries_evicted_total", Help: "Entries that gave way to newer ones, by the limit: workload, memory."}, []string{"limit"}),
	}
	for _, reason := range []string{"busy", "identity", "invalid"} {
		m.refused.WithLabelValues(reason)
	}
	for _, limit := range []string{evictedByWorkload, evictedByMemory} {
		m.evicted.WithLabelValues(limit)
	}
	registry.MustRegister(m.received, m.refused, m.evicted)
	return m
}

func (m *metrics) onEvict(limit string, n int) { m.evicted.WithLabelValues(limit).Add(float64(n)) }

// registerSize adds the gauges of what the store holds.
func registerSize(registry prometheus.Registerer, s *store) {
	registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "mesh_telemetry_workloads", Help: "Workloads with entries in memory."}, func() float64 {
			workloads, _ := s.size()
			return float64(workloads)
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "mesh_telemetry_bytes", Help: "About how many bytes the entries in memory take."}, func() float64 {
			_, bytes := s.size()
			return float64(bytes)
		}),
	)
}
