package istioconfig

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	telemetry "istio.io/api/telemetry/v1alpha1"

	metrics "github.com/mesh-operator/mesh-operator/internal/telemetry"
)

// PrometheusProvider is the only provider of metrics.
const PrometheusProvider = "prometheus"

func (c *checker) metrics(path string, m *telemetry.Metrics) {
	c.providers(path+".providers", m.GetProviders())
	for i, ref := range m.GetProviders() {
		if name := ref.GetName(); name != "" && name != PrometheusProvider {
			c.add(fmt.Sprintf("%s.providers[%d].name", path, i), fmt.Sprintf("there is no provider %s for metrics", name), "write "+PrometheusProvider+", or leave providers out")
		}
	}
	if len(m.GetOverrides()) == 0 {
		c.add(path, "says nothing", "add overrides, or remove it")
	}
	for i, o := range m.GetOverrides() {
		c.metricOverride(fmt.Sprintf("%s.overrides[%d]", path, i), o)
	}
}

func (c *checker) metricOverride(path string, o *telemetry.MetricsOverrides) {
	if o.GetDisabled() == nil && len(o.GetTagOverrides()) == 0 {
		c.add(path, "says nothing", "add disabled or tagOverrides, or remove it")
	}
	if o.GetDisabled().GetValue() && len(o.GetTagOverrides()) > 0 {
		c.add(path+".tagOverrides", "has no effect beside disabled: true", "remove one of the two")
	}
	for _, label := range sortedKeys(o.GetTagOverrides()) {
		c.tagOverride(fmt.Sprintf("%s.tagOverrides[%s]", path, label), label, o.GetTagOverrides()[label])
	}
}

// labelName is what Prometheus takes for the name of a label.
var labelName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// tagOverride removes a label that the mesh sets, or adds one that it does not set: what labels of the mesh say of peers can be
// believed, so nobody changes it.
func (c *checker) tagOverride(path, label string, o *telemetry.MetricsOverrides_TagOverride) {
	standard := slices.Contains(metrics.LabelNames, label)
	if o.GetOperation() == telemetry.MetricsOverrides_TagOverride_REMOVE {
		switch {
		case !standard:
			c.add(path, "is no label of the mesh", "there are "+strings.Join(metrics.LabelNames, ", "))
		case label == metrics.TagReporter:
			c.add(path, "cannot be removed: the two sides of a request would be counted as one", "remove another label")
		}
		if o.GetValue() != "" {
			c.add(path+".value", "has no effect beside operation: REMOVE", "remove it")
		}
		return
	}
	switch {
	case standard:
		c.add(path, "is a label of the mesh, whose value cannot be changed", "choose another name, or operation: REMOVE")
	case !labelName.MatchString(label) || strings.HasPrefix(label, "__") || label == "le" || label == "quantile":
		c.add(path, fmt.Sprintf("%q cannot be the name of a label", label), "use letters, digits and _")
	}
	if err := CheckMetricLabel(o.GetValue()); err != nil {
		c.add(path+".value", err.Error(), "write an attribute such as request.host or request.headers['x-tenant'], or a text such as \"'test'\"")
	}
}
