package desired

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// The profiles. An empty one is Historic, which sets nothing: the defaults are those of the historic product.
const (
	profileMinimal    = "Minimal"
	profileProduction = "Production"
)

// withProfile returns the spec with the fields that its profile sets and nobody else: what the Installation says in either spelling wins.
func withProfile(spec *v1alpha1.InstallationSpec) *v1alpha1.InstallationSpec {
	switch spec.Profile {
	case profileMinimal:
		spec = spec.DeepCopy()
		minimal(spec)
	case profileProduction:
		spec = spec.DeepCopy()
		production(spec)
	}
	return spec
}

// minimal leaves out what is not the control plane.
func minimal(spec *v1alpha1.InstallationSpec) {
	if spec.Prometheus == nil {
		spec.Prometheus = &v1alpha1.PrometheusSpec{}
	}
	if spec.Jaeger == nil {
		spec.Jaeger = &v1alpha1.JaegerSpec{}
	}
	if spec.Components == nil {
		spec.Components = &v1alpha1.ComponentsSpec{}
	}
	if spec.Components.Telemetry == nil {
		spec.Components.Telemetry = &v1alpha1.ComponentSpec{}
	}
	disable(&spec.Prometheus.ComponentSpec)
	disable(spec.Components.Telemetry)
	if spec.Jaeger.External == nil { // which installs nothing
		disable(&spec.Jaeger.ComponentSpec)
	}
	for _, g := range gatewayEntries(spec) {
		if g.Name == ingressGateway || g.Name == egressGateway {
			disable(&g.ComponentSpec)
		}
	}
}

func disable(c *v1alpha1.ComponentSpec) {
	if c.Enabled == nil {
		off := false
		c.Enabled = &off
	}
}

// production is for meshes that have to survive the loss of a node.
func production(spec *v1alpha1.InstallationSpec) {
	if (spec.Istio == nil || spec.Istio.Authentication == nil) && (spec.Security == nil || spec.Security.MTLS == nil || spec.Security.MTLS.Mode == "") {
		if spec.Security == nil {
			spec.Security = &v1alpha1.SecuritySpec{}
		}
		spec.Security.MTLS = &v1alpha1.MTLSSpec{Mode: "STRICT"}
	}
	if spec.Components == nil {
		spec.Components = &v1alpha1.ComponentsSpec{}
	}
	for _, c := range []struct {
		spec         **v1alpha1.ComponentSpec
		name, memory string
	}{
		{&spec.Components.Pilot, ComponentPilot, "512Mi"},
		{&spec.Components.Citadel, ComponentCitadel, "128Mi"},
		{&spec.Components.Galley, ComponentGalley, "128Mi"},
		{&spec.Components.SidecarInjector, ComponentInjector, "128Mi"},
	} {
		if *c.spec == nil {
			*c.spec = &v1alpha1.ComponentSpec{}
		}
		available(*c.spec, c.name, "100m", c.memory)
	}
	for _, g := range gatewayEntries(spec) {
		available(&g.ComponentSpec, g.Name, "200m", "256Mi")
	}
}

// apart prefers nodes without a pod of the same component.
const apart = `{"podAntiAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":100,"podAffinityTerm":` +
	`{"topologyKey":"kubernetes.io/hostname","labelSelector":{"matchLabels":{%q:%q}}}}]}}`

// available sets two pods on different nodes, where there are several, of which a drain takes one at a time. An autoscaler of the
// Installation owns the number of pods.
func available(c *v1alpha1.ComponentSpec, name, cpu, memory string) {
	two, one := int32(2), int32(1)
	if c.Replicas == nil && c.Autoscaling == nil {
		c.Replicas = &two
	}
	if c.PodDisruptionBudget == nil {
		c.PodDisruptionBudget = &v1alpha1.PodDisruptionBudgetSpec{MaxUnavailable: &one}
	}
	if c.Affinity == nil {
		c.Affinity = &v1alpha1.Raw{JSON: fmt.Appendf(nil, apart, owner.LabelComponent, name)}
	}
	if c.Resources == nil {
		c.Resources = &v1alpha1.ResourcesSpec{Requests: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory),
		}}
	}
}

// gatewayEntries returns the entries of spec.gateways, with one for each default gateway.
func gatewayEntries(spec *v1alpha1.InstallationSpec) []*v1alpha1.GatewaySpec {
	spec.Gateways = gateways(spec)
	out := make([]*v1alpha1.GatewaySpec, len(spec.Gateways))
	for i := range spec.Gateways {
		out[i] = &spec.Gateways[i]
	}
	return out
}
