package installation

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mesh-operator/mesh-operator/internal/apply"
)

// TestAccountUIDsInPodTemplates: every workload of the plan names the UID of its account, and the plan itself stays as it is.
func TestAccountUIDsInPodTemplates(t *testing.T) {
	p := plan(t, "{}", true)
	uidOf := func(ref apply.Ref) types.UID { return types.UID("uid of " + ref.Name) }
	annotation := func(o *unstructured.Unstructured) string {
		value, _, _ := unstructured.NestedString(o.Object, "spec", "template", "metadata", "annotations", accountAnnotation)
		return value
	}
	found := 0
	before := p.Objects()
	for i, object := range withAccountUIDs(before, uidOf) {
		account, isWorkload, _ := unstructured.NestedString(object.Object, "spec", "template", "spec", "serviceAccountName")
		if !isWorkload {
			continue
		}
		found++
		if got := annotation(object); got != "uid of "+account {
			t.Errorf("%s: annotation %q", apply.RefOf(object), got)
		}
		if annotation(before[i]) != "" {
			t.Errorf("%s of the plan was changed", apply.RefOf(object))
		}
	}
	if found < 6 {
		t.Errorf("%d workloads", found)
	}
}
