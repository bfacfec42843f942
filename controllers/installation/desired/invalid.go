package desired

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
)

// invalidComponents returns what the API server would refuse of the components' objects, or accept without effect, with the
// field of the Installation and the way out.
func invalidComponents(spec *v1alpha1.InstallationSpec) []string {
	problems := append(invalidReferences(spec), slices.Concat(invalidTracing(spec), invalidAccessLog(spec))...)
	for field, c := range fixedComponents(spec) {
		problems = append(problems, invalidComponent(field, c)...)
	}
	problems = append(problems, invalidPrometheus(spec.Prometheus)...)
	problems = append(problems, invalidJaeger(spec)...)
	problems = append(problems, invalidGrafana(spec)...)
	for i := range spec.Gateways {
		field := "spec.gateways[" + spec.Gateways[i].Name + "]"
		problems = append(problems, invalidComponent(field, &spec.Gateways[i].ComponentSpec)...)
		problems = append(problems, invalidLabels(field+".labels", spec.Gateways[i].Labels)...)
		problems = append(problems, invalidService(field+".service", spec.Gateways[i])...)
	}
	if spec.Injection != nil && spec.Injection.Proxy != nil {
		problems = append(problems, invalidResources("spec.injection.proxy.resources", spec.Injection.Proxy.Resources)...)
	}
	return problems
}

// fixedComponents yields the sections of components that are given, by field: all but gateways, which spec names.
func fixedComponents(spec *v1alpha1.InstallationSpec) iter.Seq2[string, *v1alpha1.ComponentSpec] {
	return func(yield func(string, *v1alpha1.ComponentSpec) bool) {
		c := spec.Components
		if c == nil {
			c = &v1alpha1.ComponentsSpec{}
		}
		for _, part := range []struct {
			field string
			spec  *v1alpha1.ComponentSpec
		}{
			{"spec.components.pilot", c.Pilot}, {"spec.components.citadel", c.Citadel}, {"spec.components.galley", c.Galley},
			{"spec.components.sidecarInjector", c.SidecarInjector}, {"spec.components.telemetry", c.Telemetry}, {"spec.prometheus", prometheusSection(spec)}, {"spec.jaeger", jaegerSection(spec)},
			{"spec.jaeger.storage.elasticsearch", elasticsearchSection(spec)}, {"spec.grafana", grafanaSection(spec)},
		} {
			if part.spec != nil && !yield(part.field, part.spec) {
				return
			}
		}
	}
}

func invalidComponent(field string, c *v1alpha1.ComponentSpec) []string {
	problems := invalidResources(field+".resources", c.Resources)
	problems = append(problems, invalidLabels(field+".podLabels", c.PodLabels)...)
	problems = append(problems, invalidLabels(field+".nodeSelector", c.NodeSelector)...)
	if c.Image != "" && !isImage(c.Image) {
		problems = append(problems, fmt.Sprintf("%s.image: %q is no image reference; write registry/name:tag, without spaces and without https://", field, c.Image))
	}
	return append(problems, invalidPlacement(field, c)...)
}

// knownResources are what a container of the mesh can request; others have a domain, such as example.com/device.
var knownResources = []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage}

func invalidResources(field string, r *v1alpha1.ResourcesSpec) []string {
	if r == nil {
		return nil
	}
	var problems []string
	for _, part := range []struct {
		name string
		list corev1.ResourceList
	}{{"requests", r.Requests}, {"limits", r.Limits}} {
		for _, name := range slices.Sorted(maps.Keys(part.list)) {
			quantity := part.list[name]
			known := slices.Contains(knownResources, name) || strings.Contains(string(name), "/") || strings.HasPrefix(string(name), "hugepages-")
			if !known {
				problems = append(problems, fmt.Sprintf("%s.%s: %s is no resource; write cpu, memory or ephemeral-storage", field, part.name, name))
			}
			if quantity.Sign() < 0 {
				problems = append(problems, fmt.Sprintf("%s.%s.%s: %s is negative; write a positive quantity", field, part.name, name, quantity.String()))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Requests)) {
		request := r.Requests[name]
		if limit, ok := r.Limits[name]; ok && request.Cmp(limit) > 0 {
			problems = append(problems, fmt.Sprintf("%s.requests.%s: %s is more than the limit %s; lower it, or raise limits.%s", field, name, request.String(), limit.String(), name))
		}
	}
	return problems
}

func invalidLabels(field string, labels map[string]string) []string {
	var problems []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if len(validation.IsQualifiedName(key)) > 0 {
			problems = append(problems, fmt.Sprintf("%s: %q is no label key; write letters, digits, -, _ and . such as team or example.com/team", field, key))
		}
		if len(validation.IsValidLabelValue(labels[key])) > 0 {
			problems = append(problems, fmt.Sprintf("%s[%s]: %q is no label value; write at most 63 letters, digits, -, _ and .", field, key, labels[key]))
		}
	}
	return problems
}

// invalidService is about ports that the Service cannot have.
func invalidService(field string, g v1alpha1.GatewaySpec) []string {
	if g.Service == nil {
		return nil
	}
	var problems []string
	names := map[int32]string{}
	for _, p := range g.Service.Ports {
		if other, taken := names[p.Port]; taken {
			problems = append(problems, fmt.Sprintf("%s.ports: %s and %s both have port %d; give one of them another number", field, other, p.Name, p.Port))
		}
		names[p.Port] = p.Name
	}
	return problems
}
