package injector

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// TestMetrics has one pod of each outcome.
func TestMetrics(t *testing.T) {
	var labels map[string]string
	var failure error
	settings := testSettings(t)
	registry := prometheus.NewRegistry()
	w := newWebhook(func() *Settings { return settings }, func(context.Context, string) (map[string]string, error) { return labels, failure },
		slog.New(slog.DiscardHandler), registry)
	review(t, w, smallPod)
	labels = map[string]string{namespaceLabel: "enabled"}
	review(t, w, smallPod)
	review(t, w, `{"metadata":{"name":"a","annotations":{"sidecar.istio.io/proxyImage":"x"}},"spec":{"containers":[{"name":"app"}]}}`)
	failure = errors.New("no connection")
	review(t, w, smallPod)
	failure = errTooMany
	review(t, w, smallPod)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			got[f.GetName()+labelText(m)] += m.GetCounter().GetValue()
		}
	}
	want := map[string]float64{
		"sidecar_injection_requests_total": 5, "sidecar_injection_success_total namespaceAsks": 1, "sidecar_injection_skip_total nobodyAsked": 1,
		"sidecar_injection_failure_total refused": 1, "sidecar_injection_failure_total error": 1, "sidecar_injection_failure_total limited": 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func labelText(m *dto.Metric) string {
	if len(m.GetLabel()) == 0 {
		return ""
	}
	return " " + m.GetLabel()[0].GetValue()
}
