package injector

import "github.com/prometheus/client_golang/prometheus"

// metrics have the names that dashboards for Istio's injector know, with more labels: rule is the rule that decided (decide.go).
type metrics struct {
	requests                   prometheus.Counter
	succeeded, skipped, failed *prometheus.CounterVec
}

func newMetrics(registry prometheus.Registerer) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		requests:  prometheus.NewCounter(prometheus.CounterOpts{Name: "sidecar_injection_requests_total", Help: "Pods that the API server asked about."}),
		succeeded: counter("sidecar_injection_success_total", "Pods that got a sidecar.", "rule"),
		skipped:   counter("sidecar_injection_skip_total", "Pods that got none.", "rule"),
		failed:    counter("sidecar_injection_failure_total", "Pods that were refused, by reason: refused (invalid annotations), limited or error.", "reason"),
	}
	registry.MustRegister(m.requests, m.succeeded, m.skipped, m.failed)
	return m
}
