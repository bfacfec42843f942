package xds

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/internal/version"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// events count what the API server reports, under the names that dashboards for Istio's pilot know: configuration is Istio's kinds,
// registry everything else.
type events struct {
	configuration, registry *prometheus.CounterVec
	isConfiguration         map[string]bool
}

func newEvents(registry prometheus.Registerer) *events {
	e := &events{
		configuration: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pilot_k8s_cfg_events", Help: "Changes of Istio's kinds that the API server reported, by resource."}, []string{"type", "event"}),
		registry: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pilot_k8s_reg_events", Help: "Changes of Services, their endpoints, pods and others that the API server reported, by resource."}, []string{"type", "event"}),
		isConfiguration: map[string]bool{},
	}
	for _, kind := range istioconfig.EnforcedKinds() {
		e.isConfiguration[kind.Resource().Resource] = true
	}
	registry.MustRegister(e.configuration, e.registry)
	return e
}

func (e *events) count(resource, event string) {
	counter := e.registry
	if e.isConfiguration[resource] {
		counter = e.configuration
	}
	counter.WithLabelValues(resource, event).Inc()
}

// registerModel exports the size of the model, and the version by which dashboards find pilot.
func registerModel(registry prometheus.Registerer, snapshot func() *mesh.Snapshot) {
	registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "pilot_services", Help: "Services of the mesh."}, func() float64 {
			if s := snapshot(); s != nil {
				return float64(s.Services.Len())
			}
			return 0
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "pilot_info", Help: "1, with the version.", ConstLabels: prometheus.Labels{"version": version.Version}},
			func() float64 { return 1 }),
	)
}
