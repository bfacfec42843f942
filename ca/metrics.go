package ca

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts what citadel does; the first two and the last have the names that dashboards for Istio know.
type metrics struct {
	requests   prometheus.Counter
	issued     prometheus.Counter
	refused    *prometheus.CounterVec
	rootExpiry prometheus.Gauge
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "citadel_server_csr_count", Help: "Certificate requests received.",
		}),
		issued: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "citadel_server_success_cert_issuance_count", Help: "Certificates issued.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "citadel_server_refused_count", Help: "Certificate requests refused, by reason.",
		}, []string{"reason"}),
		rootExpiry: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "citadel_server_root_cert_expiry_timestamp", Help: "When the root expires, in seconds since 1970; 0 without a root.",
		}),
	}
	registry.MustRegister(m.requests, m.issued, m.refused, m.rootExpiry)
	return m
}
