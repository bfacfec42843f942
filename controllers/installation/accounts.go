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

// secretAnnotation is on the pods of a component that reads its credentials when it starts: the name of the Secret, which the apply
// replaces by its UID. A Secret that was deleted and made again so replaces the pods.
const secretAnnotation = "istio.openshift.com/credentials"

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
			if name := annotations[secretAnnotation]; name != "" {
				annotations[secretAnnotation] = string(uidOf(apply.Ref{Kind: "Secret", Namespace: object.GetNamespace(), Name: name}))
			}
			_ = unstructured.SetNestedStringMap(object.Object, annotations, "spec", "template", "metadata", "annotations") // its parents are maps
		}
		out = append(out, object)
	}
	return out
}
