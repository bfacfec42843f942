package installation

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mesh-operator/mesh-operator/internal/apply"
)

// accountAnnotation is on the pods of every component: the UID of their ServiceAccount. The API server refuses the tokens of
// an account that was deleted, also after another of its name was created; a pod that runs on keeps its old token. The changed
// annotation replaces such pods.
const accountAnnotation = "istio.openshift.com/service-account-uid"

// withAccountUIDs returns the objects with the UIDs of their accounts in the pod templates. A Job's template cannot change.
func withAccountUIDs(objects []*unstructured.Unstructured, uidOf func(apply.Ref) types.UID) []*unstructured.Unstructured {
	out := make([]*unstructured.Unstructured, 0, len(objects))
	for _, object := range objects {
		account, found, _ := unstructured.NestedString(object.Object, "spec", "template", "spec", "serviceAccountName")
		uid := uidOf(apply.Ref{Kind: "ServiceAccount", Namespace: object.GetNamespace(), Name: account})
		if found && uid != "" && object.GetKind() != "Job" {
			object = object.DeepCopy()
			annotations, _, _ := unstructured.NestedStringMap(object.Object, "spec", "template", "metadata", "annotations")
			if annotations == nil {
				annotations = map[string]string{}
			}
			annotations[accountAnnotation] = string(uid)
			_ = unstructured.SetNestedStringMap(object.Object, annotations, "spec", "template", "metadata", "annotations") // its parents are maps
		}
		out = append(out, object)
	}
	return out
}
