// Package workload names the workload that a pod belongs to, as telemetry shows it: the Deployment above a pod's ReplicaSet,
// the CronJob above its Job, else the pod's controller, else the pod. The injector, citadel and pilot derive the name
// independently, from one pod at different times, so the rule is in one place.
package workload

import (
	"regexp"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// nameLabel sets what telemetry shows (istio.io/api/label).
const nameLabel = "service.istio.io/workload-name"

// Owner is the object whose author decides about the pod.
type Owner struct {
	APIVersion, Kind, Name string
}

// hashed are the labels by which a controller marks the pods of its ReplicaSets, whose names end in the label's value.
var hashed = []struct {
	label            string
	apiVersion, kind string
}{
	{"pod-template-hash", "apps/v1", "Deployment"},
	{"rollouts-pod-template-hash", "argoproj.io/v1alpha1", "Rollout"},
}

// scheduled matches the name of a CronJob's Job: the CronJob's name and the scheduled time, in minutes since 1970 (8 digits)
// or, before Kubernetes 1.21, in seconds (10 digits). Istio reads it the same way.
var scheduled = regexp.MustCompile(`^(.+)-[0-9]{8,10}$`)

// OwnerOf returns the owner of a pod. It reads the pod's metadata alone, so an object above the pod's controller is known by
// naming conventions only.
func OwnerOf(pod metav1.Object) Owner {
	controller := metav1.GetControllerOfNoCopy(pod)
	if controller == nil {
		return Owner{"v1", "Pod", podName(pod)}
	}
	switch controller.Kind {
	case "ReplicaSet":
		for _, h := range hashed {
			hash := pod.GetLabels()[h.label]
			if name, ok := strings.CutSuffix(controller.Name, "-"+hash); ok && hash != "" && name != "" {
				return Owner{h.apiVersion, h.kind, name}
			}
		}
	case "ReplicationController":
		if name := pod.GetLabels()["deploymentconfig"]; name != "" && strings.HasPrefix(controller.Name, name+"-") {
			return Owner{"apps.openshift.io/v1", "DeploymentConfig", name}
		}
	case "Job":
		if m := scheduled.FindStringSubmatch(controller.Name); m != nil {
			return Owner{"batch/v1", "CronJob", m[1]}
		}
	}
	return Owner{controller.APIVersion, controller.Kind, controller.Name}
}

// generatedSuffix is the number of characters that the API server appends to generateName.
const generatedSuffix = 5

// podName returns the name of a pod without a controller. One whose name is generated is named after its prefix, because at
// admission it does not have its name yet.
func podName(pod metav1.Object) string {
	name, prefix := pod.GetName(), pod.GetGenerateName()
	suffix, generated := strings.CutPrefix(name, prefix)
	if prefix != "" && (name == "" || generated && len(suffix) == generatedSuffix) {
		return strings.TrimSuffix(prefix, "-")
	}
	return name
}

// Name returns the workload's name: the label service.istio.io/workload-name, else the name of the owner.
func Name(pod metav1.Object, owner Owner) string {
	if name := pod.GetLabels()[nameLabel]; name != "" {
		return name
	}
	return owner.Name
}
