package workload

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestOwnerOf(t *testing.T) {
	owned := func(apiVersion, kind, name string, labels map[string]string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "pod", Labels: labels, OwnerReferences: []metav1.OwnerReference{
			{APIVersion: "v1", Kind: "ConfigMap", Name: "not-the-controller"},
			{APIVersion: apiVersion, Kind: kind, Name: name, Controller: new(true)},
		}}}
	}
	bare := func(name, generateName string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, GenerateName: generateName}}
	}
	hash := map[string]string{"pod-template-hash": "5d9f"}
	cases := map[string]struct {
		pod  *corev1.Pod
		want Owner
	}{
		"Deployment":            {owned("apps/v1", "ReplicaSet", "reviews-v1-5d9f", hash), Owner{"apps/v1", "Deployment", "reviews-v1"}},
		"ReplicaSet":            {owned("apps/v1", "ReplicaSet", "reviews-v1", nil), Owner{"apps/v1", "ReplicaSet", "reviews-v1"}},
		"ReplicaSetOtherHash":   {owned("apps/v1", "ReplicaSet", "reviews-v1-77", hash), Owner{"apps/v1", "ReplicaSet", "reviews-v1-77"}},
		"ReplicaSetOnlyHash":    {owned("apps/v1", "ReplicaSet", "-5d9f", hash), Owner{"apps/v1", "ReplicaSet", "-5d9f"}},
		"Rollout":               {owned("apps/v1", "ReplicaSet", "shop-6c5", map[string]string{"rollouts-pod-template-hash": "6c5"}), Owner{"argoproj.io/v1alpha1", "Rollout", "shop"}},
		"StatefulSet":           {owned("apps/v1", "StatefulSet", "db", hash), Owner{"apps/v1", "StatefulSet", "db"}},
		"DaemonSet":             {owned("apps/v1", "DaemonSet", "agent", nil), Owner{"apps/v1", "DaemonSet", "agent"}},
		"Job":                   {owned("batch/v1", "Job", "migrate", nil), Owner{"batch/v1", "Job", "migrate"}},
		"JobWithShortNumber":    {owned("batch/v1", "Job", "migrate-2024", nil), Owner{"batch/v1", "Job", "migrate-2024"}},
		"CronJob":               {owned("batch/v1", "Job", "backup-29384756", nil), Owner{"batch/v1", "CronJob", "backup"}},
		"CronJobOldKubernetes":  {owned("batch/v1", "Job", "backup-1612345680", nil), Owner{"batch/v1", "CronJob", "backup"}},
		"ReplicationController": {owned("v1", "ReplicationController", "web", nil), Owner{"v1", "ReplicationController", "web"}},
		"DeploymentConfig":      {owned("v1", "ReplicationController", "web-3", map[string]string{"deploymentconfig": "web"}), Owner{"apps.openshift.io/v1", "DeploymentConfig", "web"}},
		"OtherController":       {owned("example.com/v1", "Fleet", "blue", nil), Owner{"example.com/v1", "Fleet", "blue"}},
		"BarePod":               {bare("sleep", ""), Owner{"v1", "Pod", "sleep"}},
		"GeneratedAtAdmission":  {bare("", "sleep-"), Owner{"v1", "Pod", "sleep"}},
		"GeneratedRunning":      {bare("sleep-x7k2p", "sleep-"), Owner{"v1", "Pod", "sleep"}},
		"NameAndGenerateName":   {bare("other", "sleep-"), Owner{"v1", "Pod", "other"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := OwnerOf(c.pod); got != c.want {
				t.Errorf("OwnerOf = %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestName(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "sleep"}}
	if got := Name(pod, OwnerOf(pod)); got != "sleep" {
		t.Errorf("Name = %q, want that of the owner", got)
	}
	pod.Labels = map[string]string{"service.istio.io/workload-name": "night"}
	if got := Name(pod, OwnerOf(pod)); got != "night" {
		t.Errorf("Name = %q, want that of the label", got)
	}
}
