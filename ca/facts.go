package ca

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/internal/telemetry"
	"github.com/mesh-operator/mesh-operator/internal/workload"
)

// factsOf reads what telemetry shows of an authenticated pod. Account and namespace are proven; the workload follows from the
// pod's controller; service, revision and the workload's label are labels, which the pod's author sets at will.
func factsOf(pod *corev1.Pod) telemetry.Peer {
	return telemetry.PeerOf(workload.Name(pod, workload.OwnerOf(pod)), pod.Namespace, pod.Labels)
}
