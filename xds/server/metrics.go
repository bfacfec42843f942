package server

import "github.com/prometheus/client_golang/prometheus"

// metrics keep the names that dashboards for Istio's pilot know.
type metrics struct {
	connected   prometheus.Gauge
	pushes      *prometheus.CounterVec
	rejects     *prometheus.CounterVec
	refused     *prometheus.CounterVec
	panics      prometheus.Counter
	pushTime    prometheus.Histogram
	convergence prometheus.Histogram
}

func newMetrics(registry prometheus.Registerer) *metrics {
	buckets := []float64{.001, .003, .01, .03, .1, .3, 1, 3, 10, 30}
	m := &metrics{
		connected: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pilot_xds", Help: "Proxies connected to this pilot."}),
		pushes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pilot_xds_pushes", Help: "Responses sent to proxies, by resource type."}, []string{"type"}),
		rejects: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pilot_total_xds_rejects", Help: "Responses that proxies rejected, by resource type."}, []string{"type"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pilot_xds_refused_streams", Help: "Streams that were refused, by gRPC code."}, []string{"code"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pilot_total_xds_internal_errors", Help: "Panics that pilot recovered from; the objects and proxies concerned keep the configuration that they have."}),
		pushTime: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pilot_xds_push_time", Help: "Seconds to compute a push for all proxies.", Buckets: buckets}),
		convergence: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pilot_proxy_convergence_time", Help: "Seconds from a new configuration to the last response of it sent to a proxy.", Buckets: buckets}),
	}
	registry.MustRegister(m.connected, m.pushes, m.rejects, m.refused, m.panics, m.pushTime, m.convergence)
	return m
}
