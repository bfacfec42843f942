package ca

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/internal/canonical"
	"github.com/mesh-operator/mesh-operator/internal/subject"
	"github.com/mesh-operator/mesh-operator/internal/workload"
)

// factsOf reads what telemetry shows of an authenticated pod. Account and namespace are proven; the workload follows from the
// pod's controller; service, revision and the workload's label are labels, which the pod's author sets at will.
func factsOf(pod *corev1.Pod) subject.Facts {
	name := workload.Name(pod, workload.OwnerOf(pod))
	return subject.Facts{
		Workload:          name,
		CanonicalService:  canonical.Name(pod.Labels, name),
		Namespace:         pod.Namespace,
		CanonicalRevision: canonical.Revision(pod.Labels),
	}
}
