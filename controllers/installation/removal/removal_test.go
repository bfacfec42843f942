package removal

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/controllers/installation/kinds"
)

// TestBelongsToCluster: what a listed kind controls is counted there; what a custom resource controls is counted itself.
func TestBelongsToCluster(t *testing.T) {
	controlled := func(version, kind string) metav1.ObjectMeta {
		yes := true
		return metav1.ObjectMeta{Name: "x", OwnerReferences: []metav1.OwnerReference{{APIVersion: version, Kind: kind, Name: "o", UID: "u", Controller: &yes}}}
	}
	cases := map[string]struct {
		kind   string
		object metav1.ObjectMeta
		want   bool
	}{
		"OfADeployment":     {"ReplicaSet", controlled("apps/v1", "Deployment"), true},
		"OfAReplicaSet":     {"Pod", controlled("apps/v1", "ReplicaSet"), true},
		"OfAStatefulSet":    {"Pod", controlled("apps/v1", "StatefulSet"), true},
		"OfACronJob":        {"Job", controlled("batch/v1", "CronJob"), true},
		"OfACustomResource": {"StatefulSet", controlled("monitoring.coreos.com/v1", "Prometheus"), false},
		"OfANamesake":       {"Pod", controlled("apps.example.com/v1", "Deployment"), false},
		"OfNobody":          {"Deployment", metav1.ObjectMeta{Name: "x"}, false},
		"Everywhere":        {"ConfigMap", metav1.ObjectMeta{Name: "kube-root-ca.crt"}, true},
	}
	rows, err := kinds.KeepingNamespace()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range cases {
		if got := belongsToCluster(rows, c.kind, &metav1.PartialObjectMetadata{ObjectMeta: c.object}); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
}

// TestNextPollInterval: a removal that goes on is looked at every second, one that stands more and more rarely.
func TestNextPollInterval(t *testing.T) {
	at := func(stage string, names ...string) *v1alpha1.RemovalStatus {
		status := &v1alpha1.RemovalStatus{Stage: stage, Remaining: int32(len(names))}
		for _, name := range names {
			status.Blockers = append(status.Blockers, v1alpha1.Blocker{Kind: "Pod", Name: name})
		}
		return status
	}
	steps := []struct {
		now  *v1alpha1.RemovalStatus
		want time.Duration
	}{
		{at(stageWorkloads, "a", "b"), time.Second},
		{at(stageWorkloads, "a", "b"), 2 * time.Second},
		{at(stageWorkloads, "b"), time.Second},
		{at(stageWorkloads, "b"), 2 * time.Second},
		{at(stageWorkloads, "b"), 4 * time.Second},
		{at(stageWorkloads, "b"), 8 * time.Second},
		{at(stageWorkloads, "b"), 10 * time.Second},
		{at(stageWorkloads, "b"), 10 * time.Second},
		{at(stageNamespace), time.Second},
	}
	var before *v1alpha1.RemovalStatus
	interval := time.Duration(0)
	for i, step := range steps {
		if interval = nextPollInterval(before, step.now, interval); interval != step.want {
			t.Errorf("look %d: the next comes after %s, want %s", i, interval, step.want)
		}
		before = step.now
	}
}
