package mesh

import (
	"maps"
	"slices"

	telemetry "istio.io/api/telemetry/v1alpha1"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
)

// metricNames are the metrics that proxies make, as the Telemetry API and as Prometheus names them.
var metricNames = map[telemetry.MetricSelector_IstioMetric]string{
	telemetry.MetricSelector_REQUEST_COUNT:          "requests_total",
	telemetry.MetricSelector_REQUEST_DURATION:       "request_duration_milliseconds",
	telemetry.MetricSelector_REQUEST_SIZE:           "request_bytes",
	telemetry.MetricSelector_RESPONSE_SIZE:          "response_bytes",
	telemetry.MetricSelector_TCP_OPENED_CONNECTIONS: "tcp_connections_opened_total",
	telemetry.MetricSelector_TCP_CLOSED_CONNECTIONS: "tcp_connections_closed_total",
	telemetry.MetricSelector_TCP_SENT_BYTES:         "tcp_sent_bytes_total",
	telemetry.MetricSelector_TCP_RECEIVED_BYTES:     "tcp_received_bytes_total",
}

// mergedMetric is a metric while overrides are applied: of two for one label the later counts.
type mergedMetric struct {
	disabled bool
	tags     map[string]*telemetry.MetricsOverrides_TagOverride
}

// metrics applies the overrides of all rules in their order. One without a metric is for all.
func metrics(rules []*TelemetryRule, side telemetry.WorkloadMode) []Metric {
	merged := map[string]*mergedMetric{}
	for _, rule := range rules {
		for _, m := range rule.Spec.GetMetrics() {
			for _, o := range m.GetOverrides() {
				if !isFor(o.GetMatch().GetMode(), side) {
					continue
				}
				for metric, name := range metricNames {
					if only := o.GetMatch().GetMetric(); only == telemetry.MetricSelector_ALL_METRICS || only == metric {
						override(merged, name, o)
					}
				}
			}
		}
	}
	var list []Metric
	for _, name := range slices.Sorted(maps.Keys(merged)) {
		if m := merged[name].metric(name); m.Disabled || len(m.Removed)+len(m.Added) > 0 {
			list = append(list, m)
		}
	}
	return list
}

func override(merged map[string]*mergedMetric, name string, o *telemetry.MetricsOverrides) {
	m := merged[name]
	if m == nil {
		m = &mergedMetric{tags: map[string]*telemetry.MetricsOverrides_TagOverride{}}
		merged[name] = m
	}
	if o.GetDisabled() != nil {
		m.disabled = o.GetDisabled().GetValue()
	}
	maps.Copy(m.tags, o.GetTagOverrides())
}

func (m *mergedMetric) metric(name string) Metric {
	if m.disabled {
		return Metric{Name: name, Disabled: true}
	}
	metric := Metric{Name: name}
	for _, label := range slices.Sorted(maps.Keys(m.tags)) {
		if tag := m.tags[label]; tag.GetOperation() == telemetry.MetricsOverrides_TagOverride_REMOVE {
			metric.Removed = append(metric.Removed, label)
		} else {
			text, isText := istioconfig.CELText(tag.GetValue())
			if !isText {
				text = tag.GetValue()
			}
			metric.Added = append(metric.Added, MetricLabel{label, text, isText})
		}
	}
	return metric
}
