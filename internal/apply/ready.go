package apply

import (
	"fmt"
	"slices"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Ready reports whether the object has become what it describes. A Deployment that has rolled out stays ready when it loses
// pods afterwards: what came next in the order has come, and must be kept as it is all the more.
func Ready(object *unstructured.Unstructured) (bool, error) {
	result, err := status.Compute(object)
	if err != nil {
		return false, fmt.Errorf("compute status of %s: %w", RefOf(object), err)
	}
	return result.Status == status.CurrentStatus || wasRolledOut(object), nil
}

// wasRolledOut reports a Deployment whose present template has once had all its pods. Its controller says so in a condition,
// which stays until there is another template; the numbers tell of a return to an earlier one, which it says late.
func wasRolledOut(object *unstructured.Unstructured) bool {
	if object.GetKind() != "Deployment" {
		return false
	}
	number := func(name string) int64 {
		n, _, _ := unstructured.NestedInt64(object.Object, "status", name)
		return n
	}
	if number("observedGeneration") < object.GetGeneration() || number("updatedReplicas") != number("replicas") {
		return false
	}
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	return slices.ContainsFunc(conditions, func(condition any) bool {
		c, ok := condition.(map[string]any)
		return ok && c["type"] == "Progressing" && c["reason"] == "NewReplicaSetAvailable"
	})
}
