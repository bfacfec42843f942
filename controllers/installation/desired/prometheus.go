package desired

import (
	"cmp"
	"fmt"
	"regexp"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
)

func prometheusSection(spec *v1alpha1.InstallationSpec) *v1alpha1.ComponentSpec {
	if spec.Prometheus == nil {
		return nil
	}
	return &spec.Prometheus.ComponentSpec
}

// prometheusValues: without a volume metrics are in an emptyDir of 2Gi (charts/prometheus).
func prometheusValues(in Input) (map[string]any, error) {
	p := in.Spec.Prometheus
	if p == nil {
		p = &v1alpha1.PrometheusSpec{}
	}
	retention, size := "6h", resource.MustParse("2Gi")
	if v := p.Volume; v != nil {
		retention, size = "15d", volumeSize(v)
	}
	return map[string]any{
		"retention":     cmp.Or(p.Retention, retention),
		"retentionSize": fmt.Sprintf("%dMB", size.Value()/5*4>>20), // Prometheus' MB is Kubernetes' Mi
		"volume":        volumeValues(p.Volume),
	}, nil
}

func volumeSize(v *v1alpha1.VolumeSpec) resource.Quantity {
	if v.Size != nil {
		return *v.Size
	}
	return resource.MustParse("10Gi")
}

var retention = regexp.MustCompile(`^[1-9][0-9]{0,4}[hdwy]$`)

// invalidPrometheus repeats the rules of the schema, for an Installation that is older than they are.
func invalidPrometheus(p *v1alpha1.PrometheusSpec) []string {
	if p == nil {
		return nil
	}
	var problems []string
	if p.Replicas != nil && *p.Replicas > 1 {
		problems = append(problems, fmt.Sprintf("spec.prometheus.replicas: %d, but every Prometheus collects metrics of its own, so there can be one at most; write 0 or 1, or remove the field", *p.Replicas))
	}
	if p.Autoscaling != nil {
		problems = append(problems, "spec.prometheus.autoscaling: every Prometheus collects metrics of its own, so there can be one at most; remove the field")
	}
	if p.Retention != "" && !retention.MatchString(p.Retention) {
		problems = append(problems, fmt.Sprintf("spec.prometheus.retention: %q is no time such as 6h, 15d or 8w; write a number and h, d, w or y", p.Retention))
	}
	if v := p.Volume; v != nil {
		if size := volumeSize(v); size.Cmp(resource.MustParse("1Gi")) < 0 {
			problems = append(problems, fmt.Sprintf("spec.prometheus.volume.size: %s is less than 1Gi; write 1Gi or more", size.String()))
		}
	}
	return problems
}
