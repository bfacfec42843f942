package mesh

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/internal/names"
)

// SidecarVersion is the annotation in which the trimmed pod keeps the version of names.SidecarStatusAnnotation.
const SidecarVersion = names.SidecarStatusAnnotation + ".version"

// ProxyPod is a running pod with a proxy, whether or not the proxy is connected.
type ProxyPod struct {
	Name    Name
	Type    ProxyType
	Version string // of the sidecar it was injected with; empty if it does not say, and for gateways
}

// ProxyPods lists the running pods with a proxy, in no order. One that is being deleted is none any more.
func (s *Snapshot) ProxyPods() []ProxyPod {
	var out []ProxyPod
	for p := range s.in.Pods.Values() {
		if p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp == nil && runsProxy(p) {
			out = append(out, ProxyPod{Name: NameOf(p), Type: proxyTypeOf(p), Version: p.Annotations[SidecarVersion]})
		}
	}
	return out
}

// runsProxy reports whether one of a pod's containers is the agent; the label of an injected pod is its tenant's to write.
func runsProxy(p *corev1.Pod) bool {
	for _, c := range containers(p) {
		if c.Name == "istio-proxy" && len(c.Args) > 1 && c.Args[0] == "proxy" {
			return true
		}
	}
	return false
}
