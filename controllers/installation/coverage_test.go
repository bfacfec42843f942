package installation

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// TestEveryRenderedKindIsWatchedAndRemoved keeps the lists of watch.go and removal_objects.go complete: what is applied but not
// watched is never repaired, and what is not removed stays for ever.
func TestEveryRenderedKindIsWatchedAndRemoved(t *testing.T) {
	watchedKinds := map[schema.GroupKind]bool{{Group: "apps", Kind: "Deployment"}: true, {Kind: "Service"}: true}
	for _, w := range slices.Concat(clusterKinds, meshKinds, istioKinds) {
		watchedKinds[schema.GroupKind{Group: w.Group, Kind: w.kind}] = true
	}
	removed := map[schema.GroupVersionKind]bool{}
	for _, kind := range slices.Concat(webhookKinds, workloadKinds, accessKinds, clusterAccessKinds) {
		removed[kind] = true
	}
	for _, object := range append(desired(t, []byte(specs["full"]), true).Objects(), accessObject()) {
		gvk := object.GroupVersionKind()
		if !watchedKinds[gvk.GroupKind()] {
			t.Errorf("%s is not watched", gvk)
		}
		if !removed[gvk] {
			t.Errorf("%s is not removed", gvk)
		}
	}
}

// TestAdmissionPolicies parses the policies and checks who owns them.
func TestAdmissionPolicies(t *testing.T) {
	objects, err := admissionObjects("uid")
	if err != nil {
		t.Fatal(err)
	}
	bindings := map[string]bool{}
	for _, object := range objects {
		if owners := object.GetOwnerReferences(); len(owners) != 1 || owners[0].UID != "uid" {
			t.Errorf("%s %s is not owned by the definition", object.GetKind(), object.GetName())
		}
		if object.GetKind() == "ValidatingAdmissionPolicyBinding" {
			bindings[object.GetName()] = true
		}
	}
	for _, object := range objects {
		if object.GetKind() == "ValidatingAdmissionPolicy" && !bindings[object.GetName()] {
			t.Errorf("policy %s has no binding", object.GetName())
		}
	}
}
