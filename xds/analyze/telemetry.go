package analyze

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// telemetry checks one object.
func (c *checker) telemetry(t *mesh.TelemetryRule) {
	c.telemetryProviders(t)
	if len(t.Selector()) == 0 {
		for older := range c.snapshot.TelemetryWithoutSelector(t.Namespace) {
			if older != t {
				scope := "namespace " + t.Namespace
				if t.Namespace == c.snapshot.Settings.RootNamespace {
					scope = "the mesh"
				}
				c.report(mesh.Problem{Object: t.Object, Field: "spec.selector", Reason: fmt.Sprintf("%s is older and decides for %s", older.Object, scope)})
			}
			return
		}
	}
	var pods []*corev1.Pod
	for _, pod := range c.proxies[t.Namespace] {
		if mesh.Selects(t.Selector(), pod.Labels) {
			pods = append(pods, pod)
		}
	}
	if len(pods) == 0 {
		reason := fmt.Sprintf("no pod of namespace %s has these labels and a proxy", t.Namespace)
		c.report(mesh.Problem{Object: t.Object, Field: "spec.selector.matchLabels", Reason: reason})
		return
	}
	var older *mesh.TelemetryRule
	for _, pod := range pods {
		for decides := range c.snapshot.TelemetrySelecting(t.Namespace, pod.Labels) {
			older = decides
			break
		}
		if older == t {
			return
		}
	}
	c.report(mesh.Problem{Object: t.Object, Field: "spec.selector.matchLabels", Reason: fmt.Sprintf("%s is older and decides for all pods that it selects", older.Object)})
}

// telemetryProviders reports names that mean no provider, and spans that nobody takes.
func (c *checker) telemetryProviders(t *mesh.TelemetryRule) {
	logs, tracing := c.snapshot.Settings.AccessLogProviders(), c.snapshot.Settings.TracingProviders()
	for i, l := range t.Spec.GetAccessLogging() {
		for j, ref := range l.GetProviders() {
			if name := ref.GetName(); !slices.Contains(logs, name) {
				field := fmt.Sprintf("spec.accessLogging[%d].providers[%d].name", i, j)
				c.report(mesh.Problem{Object: t.Object, Field: field, Reason: fmt.Sprintf("there is no provider %s for access logs; there are %s", name, strings.Join(logs, ", "))})
			}
		}
	}
	for i, span := range t.Spec.GetTracing() {
		field := fmt.Sprintf("spec.tracing[%d]", i)
		switch refs := span.GetProviders(); {
		case len(refs) > 0 && !slices.Contains(tracing, refs[0].GetName()):
			reason := fmt.Sprintf("there is no tracing provider %s", refs[0].GetName())
			if len(tracing) > 0 {
				reason += "; there is " + strings.Join(tracing, ", ")
			}
			c.report(mesh.Problem{Object: t.Object, Field: field + ".providers[0].name", Reason: reason})
		case len(refs) == 0 && !c.snapshot.Settings.HasTracing() && !span.GetDisableSpanReporting().GetValue():
			c.report(mesh.Problem{Object: t.Object, Field: field, Reason: "the mesh has no tracing provider: no spans are reported"})
		}
	}
}
