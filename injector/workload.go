package injector

import (
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/internal/canonical"
	"github.com/mesh-operator/mesh-operator/internal/workload"
)

// Workload is the workload of a pod, as telemetry shows it.
type Workload struct {
	Name              string
	Owner             string // kubernetes://apis/<apiVersion>/namespaces/<namespace>/<kind>s/<name>
	CanonicalName     string
	CanonicalRevision string
}

// workloadOf returns the workload of a pod; owner is nil unless a manifest declares it. The kubelet fills in the namespace,
// because kube-inject does not know it.
func workloadOf(pod *corev1.Pod, owner *workload.Owner) Workload {
	if owner == nil {
		owner = new(workload.OwnerOf(pod))
	}
	name := workload.Name(pod, *owner)
	return Workload{
		Name:              name,
		Owner:             "kubernetes://apis/" + owner.APIVersion + "/namespaces/$(POD_NAMESPACE)/" + strings.ToLower(owner.Kind) + "s/" + owner.Name,
		CanonicalName:     canonical.Name(pod.Labels, name),
		CanonicalRevision: canonical.Revision(pod.Labels),
	}
}
