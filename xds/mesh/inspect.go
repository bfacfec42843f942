package mesh

import (
	"iter"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/xds/table"
)

// What xds/analyze reads of a snapshot beside the model. Nothing here is kept for it alone.

// Inputs returns what the snapshot was built from.
func (s *Snapshot) Inputs() Inputs { return s.in }

// Policies returns the PeerAuthentications.
func (s *Snapshot) Policies() Policies { return s.index.policies }

// ProxyIn returns the type of the proxy in a running pod; false if there is none.
func ProxyIn(p *corev1.Pod) (ProxyType, bool) {
	t := proxyTypeOf(p)
	return t, running(p) && (p.Labels[tlsModeLabel] != "" || t == Router)
}

// ServicePorts iterates over the TCP ports of the Services that select a pod, the oldest Service first.
func (s *Snapshot) ServicePorts(p *corev1.Pod) iter.Seq2[*corev1.Service, Exposed] {
	return func(yield func(*corev1.Service, Exposed) bool) {
		for k := range s.index.selecting.Get(p.Namespace).Values() {
			if len(k.Spec.Selector) == 0 || !Selects(k.Spec.Selector, p.Labels) {
				continue
			}
			for _, port := range k.Spec.Ports {
				target, ok := targetPort(p, port)
				if ok && isTCP(port.Protocol) && !yield(k, Exposed{uint32(port.Port), target}) {
					return
				}
			}
		}
	}
}

// DeclaresPort tells whether a container that runs as long as the pod does declares the TCP port.
func DeclaresPort(p *corev1.Pod, number uint32) bool {
	return slices.ContainsFunc(containers(p), func(c corev1.Container) bool {
		return slices.ContainsFunc(c.Ports, func(cp corev1.ContainerPort) bool { return isTCP(cp.Protocol) && uint32(cp.ContainerPort) == number })
	})
}

// RuleBytes is the size of the rules that each host gets.
func (v *VirtualService) RuleBytes() int { return v.bytes }

// HostWeight is how many hosts the VirtualService's count as in the mesh.
func (v *VirtualService) HostWeight() int { return v.hostWeight }

// TelemetryRules returns the Telemetry objects by namespace, the oldest first.
func (s *Snapshot) TelemetryRules() table.Groups[*TelemetryRule] { return s.index.telemetry }

// AccessLogProviders returns the names of the providers of access logs, sorted.
func (s *Settings) AccessLogProviders() []string { return slices.Sorted(maps.Keys(s.providers.logs)) }

// TracingProviders returns the names of the providers of tracing, sorted.
func (s *Settings) TracingProviders() []string {
	return slices.Sorted(maps.Keys(s.providers.tracing))
}

// HasTracing tells whether one of them is the mesh's default.
func (s *Settings) HasTracing() bool { return s.providers.defaultTracing != nil }
