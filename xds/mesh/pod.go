package mesh

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/internal/telemetry"
	"github.com/mesh-operator/mesh-operator/internal/workload"
)

// tlsModeLabel is what the injector writes on a pod whose proxy can do the mesh's mutual TLS.
const tlsModeLabel = "security.istio.io/tlsMode"

// pod finds a pod by namespace/name; nil if there is none or it has ended.
func (s *Snapshot) pod(name string) *corev1.Pod {
	p := s.in.Pods.Get(name)
	if p == nil || !running(p) {
		return nil
	}
	return p
}

func running(p *corev1.Pod) bool {
	return p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed
}

// workloadOf returns the name of the pod's workload.
func workloadOf(p *corev1.Pod) string { return workload.Name(p, workload.OwnerOf(p)) }

// telemetryWorkload packs what a client's telemetry shows of a pod into one value.
func telemetryWorkload(p *corev1.Pod) string {
	return telemetry.PeerOf(workloadOf(p), p.Namespace, p.Labels).Pack()
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func accountOf(p *corev1.Pod) string { return firstOf(p.Spec.ServiceAccountName, "default") }

// containers lists the containers that run as long as the pod does, native sidecars included.
func containers(p *corev1.Pod) []corev1.Container {
	all := append([]corev1.Container(nil), p.Spec.Containers...)
	for _, c := range p.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			all = append(all, c)
		}
	}
	return all
}

func proxyTypeOf(p *corev1.Pod) ProxyType {
	for _, c := range containers(p) {
		if c.Name == "istio-proxy" && len(c.Args) > 1 && c.Args[0] == "proxy" && c.Args[1] == string(Router) {
			return Router
		}
	}
	return Sidecar
}

// targetPort is the port of the pod that a service's port leads to; false if the pod has no port of that name.
func targetPort(p *corev1.Pod, port corev1.ServicePort) (uint32, bool) {
	if name := port.TargetPort.StrVal; name != "" {
		for _, c := range containers(p) {
			for _, cp := range c.Ports {
				if cp.Name == name && isTCP(cp.Protocol) {
					return uint32(cp.ContainerPort), true
				}
			}
		}
		return 0, false
	}
	if port.TargetPort.IntVal != 0 {
		return uint32(port.TargetPort.IntVal), true
	}
	return uint32(port.Port), true
}

func isTCP(p corev1.Protocol) bool { return p == corev1.ProtocolTCP || p == "" }
