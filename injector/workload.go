package injector

import (
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Workload is what a pod is a copy of, as telemetry names it.
type Workload struct {
	Name              string
	Owner             string
	CanonicalName     string
	CanonicalRevision string
}

// scheduled is the name of a Job that a CronJob made: its own name and the minute.
var scheduled = regexp.MustCompile(`^(.+)-[0-9]{8,10}$`)

// workloadOf names the workload. Its namespace is left to the kubelet to fill in, because kube-inject does not know it.
func workloadOf(pod *corev1.Pod, known *Owner) Workload {
	owner := known
	if owner == nil {
		owner = ownerOf(pod)
	}
	w := Workload{
		Name:  owner.Name,
		Owner: "kubernetes://apis/" + owner.APIVersion + "/namespaces/$(POD_NAMESPACE)/" + strings.ToLower(owner.Kind) + "s/" + owner.Name,
	}
	w.CanonicalName = first(pod.Labels, w.Name, "service.istio.io/canonical-name", "app.kubernetes.io/name", "app")
	w.CanonicalRevision = first(pod.Labels, "latest", "service.istio.io/canonical-revision", "app.kubernetes.io/version", "version")
	return w
}

// Owner is the object that a person wrote.
type Owner struct {
	APIVersion, Kind, Name string
}

// ownerOf looks through the objects that controllers make on the way: a Deployment's ReplicaSet, a CronJob's Job.
func ownerOf(pod *corev1.Pod) *Owner {
	ref := metav1.GetControllerOf(pod)
	if ref == nil {
		name := pod.Name
		if name == "" {
			name = strings.TrimSuffix(pod.GenerateName, "-")
		}
		return &Owner{"v1", "Pod", name}
	}
	if hash := pod.Labels["pod-template-hash"]; ref.Kind == "ReplicaSet" && hash != "" && strings.HasSuffix(ref.Name, "-"+hash) {
		return &Owner{"apps/v1", "Deployment", strings.TrimSuffix(ref.Name, "-"+hash)}
	}
	if m := scheduled.FindStringSubmatch(ref.Name); ref.Kind == "Job" && m != nil {
		return &Owner{"batch/v1", "CronJob", m[1]}
	}
	return &Owner{ref.APIVersion, ref.Kind, ref.Name}
}

func first(labels map[string]string, fallback string, keys ...string) string {
	for _, key := range keys {
		if labels[key] != "" {
			return labels[key]
		}
	}
	if len(fallback) > 63 { // a name may be longer than a label
		fallback = strings.TrimRight(fallback[:63], "-.")
	}
	return fallback
}
