package report

import (
	"fmt"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Workload is the state of the object that runs a component's pods, of whatever kind.
type Workload struct {
	Desired int32 // pods that it asks for
	Updated int32 // pods of its current template
	Ready   int32
	Current bool   // it has become what it describes (kstatus)
	Failed  string // why it will not; empty: it has not failed
}

// WorkloadOf reads a Deployment, StatefulSet, DaemonSet or Job.
func WorkloadOf(object *unstructured.Unstructured) (Workload, error) {
	result, err := status.Compute(object)
	if err != nil {
		return Workload{}, fmt.Errorf("compute status of %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	w := countPods(object)
	w.Current = result.Status == status.CurrentStatus
	if result.Status == status.FailedStatus {
		w.Failed = result.Message
	}
	return w, nil
}

func countPods(object *unstructured.Unstructured) Workload {
	number := func(fallback int64, path ...string) int32 {
		n, found, _ := unstructured.NestedInt64(object.Object, path...)
		if !found {
			n = fallback
		}
		return int32(n) // a number of pods, which the API holds in 32 bits
	}
	switch object.GetKind() {
	case "DaemonSet":
		return Workload{
			Desired: number(0, "status", "desiredNumberScheduled"), Updated: number(0, "status", "updatedNumberScheduled"),
			Ready: number(0, "status", "numberReady"),
		}
	case "Job":
		done := number(0, "status", "succeeded")
		return Workload{Desired: number(1, "spec", "completions"), Updated: done + number(0, "status", "active"), Ready: done + number(0, "status", "ready")}
	}
	return Workload{
		Desired: number(1, "spec", "replicas"), Updated: number(0, "status", "updatedReplicas"), Ready: number(0, "status", "readyReplicas"),
	}
}
