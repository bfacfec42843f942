package dataplane

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// The metrics of pilot that the operator reads.
const (
	proxyPods   = "pilot_proxy_pods"   // gauge by type (sidecar, router) and version
	proxySynced = "pilot_proxy_synced" // gauge
)

// maxPods is more than any cluster has.
const maxPods = 10_000_000

// parseCounts reads the counts from a page in Prometheus' text format. A page without them is an error: pilot has no
// configuration yet, or is of another version.
func parseCounts(page []byte) (Counts, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(page))
	if err != nil {
		return Counts{}, fmt.Errorf("parse metrics: %w", err)
	}
	synced := families[proxySynced].GetMetric()
	if len(synced) != 1 {
		return Counts{}, errors.New("its metrics do not count proxies")
	}
	out := Counts{Sidecars: map[string]int{}}
	if out.Synced, err = count(synced[0]); err != nil {
		return Counts{}, fmt.Errorf("parse %s: %w", proxySynced, err)
	}
	for _, metric := range families[proxyPods].GetMetric() {
		n, err := count(metric)
		if err != nil {
			return Counts{}, fmt.Errorf("parse %s: %w", proxyPods, err)
		}
		switch label(metric, "type") {
		case "router":
			out.Gateways += n
		case "sidecar":
			out.Sidecars[label(metric, "version")] += n
		}
	}
	return out, nil
}

func label(metric *dto.Metric, name string) string {
	for _, pair := range metric.GetLabel() {
		if pair.GetName() == name {
			return pair.GetValue()
		}
	}
	return ""
}

// count is the value of a gauge, which has to be a whole number.
func count(metric *dto.Metric) (int, error) {
	value := metric.GetGauge().GetValue()
	if metric.Gauge == nil {
		value = metric.GetUntyped().GetValue()
	}
	if math.IsNaN(value) || value != math.Trunc(value) || value < 0 || value > maxPods {
		return 0, fmt.Errorf("%v is not a count", value)
	}
	return int(value), nil
}
