package ca

import (
	"cmp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/internal/subject"
)

// factsOf reads what telemetry wants to know from an authenticated pod. Account and namespace are proven; the workload is
// the pod's controller; service and revision are labels, which their tenant may write as it likes.
func factsOf(pod *corev1.Pod) subject.Facts {
	workload := workloadOf(pod)
	label := func(keys ...string) string {
		for _, key := range keys {
			if value := pod.Labels[key]; value != "" {
				return value
			}
		}
		return ""
	}
	return subject.Facts{
		Workload:          workload,
		CanonicalService:  cmp.Or(label("service.istio.io/canonical-name", "app.kubernetes.io/name", "app"), workload),
		Namespace:         pod.Namespace,
		CanonicalRevision: cmp.Or(label("service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"), "latest"),
	}
}

// workloadOf names what a person deployed: the Deployment above the pod's ReplicaSet, the CronJob above its Job, else the
// controller itself, else the pod.
func workloadOf(pod *corev1.Pod) string {
	controller := metav1.GetControllerOf(pod)
	if controller == nil {
		return pod.Name
	}
	switch controller.Kind {
	case "ReplicaSet":
		if hash := pod.Labels["pod-template-hash"]; hash != "" {
			return cmp.Or(strings.TrimSuffix(controller.Name, "-"+hash), controller.Name)
		}
	case "Job":
		return cronJobOf(controller.Name)
	}
	return controller.Name
}

// cronJobOf removes the scheduled minute that the CronJob controller appends: eight digits since 1970, for a long time yet.
func cronJobOf(job string) string {
	dash := strings.LastIndexByte(job, '-')
	if dash <= 0 || len(job)-dash-1 != 8 || strings.Trim(job[dash+1:], "0123456789") != "" {
		return job
	}
	return job[:dash]
}
