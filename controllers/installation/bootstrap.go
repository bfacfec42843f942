package installation

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// meshAccessRole is the ClusterRole that the operator binds to itself in the mesh's namespace, and nowhere else: what it may do
// to Secrets, Deployments and the like ends there.
const meshAccessRole = "istio-operator-mesh"

// errNamespaceTerminating says that somebody is deleting the mesh's namespace; it has to be gone before there can be another.
var errNamespaceTerminating = errors.New("namespace " + owner.MeshNamespace + " is being deleted; waiting until it is gone")

// bootstrap makes the mesh's namespace and the operator's access to it, which everything else needs, and returns the
// namespace's UID. A namespace that is already there is used as it is and stays when the mesh goes, unless it was ours before.
func (r *Reconciler) bootstrap(ctx context.Context) (types.UID, error) {
	live, err := r.namespace(ctx)
	if err != nil {
		return "", err
	}
	if live != nil && live.DeletionTimestamp != nil {
		return "", errNamespaceTerminating
	}
	uid := types.UID("")
	if live != nil {
		uid = live.UID
	}
	if live != nil && owner.Kept(live) {
		if err = r.adoptMesh(ctx, live); err != nil {
			return "", err
		}
	}
	if live == nil || owner.Owned(live.Labels) {
		if uid, err = r.applyRecorded(ctx, meshNamespaceObject()); err != nil {
			return "", err
		}
	}
	if _, err = r.applyRecorded(ctx, accessObject()); err != nil {
		return "", err
	}
	return uid, r.Watch.OpenMesh(ctx, uid)
}

// adoptMesh makes what a removal left behind ours again: the root of trust, which running sidecars know, and then the
// namespace, whose mark says that this is still to be done.
func (r *Reconciler) adoptMesh(ctx context.Context, namespace *metav1.PartialObjectMetadata) error {
	if _, err := r.applyRecorded(ctx, accessObject()); err != nil {
		return err
	}
	if err := r.Watch.OpenMesh(ctx, namespace.UID); err != nil { // which also waits until the access works
		return err
	}
	root, err := apply.Metadata(ctx, r.Client, kindSecret, types.NamespacedName{Namespace: owner.MeshNamespace, Name: rootSecret})
	if err != nil {
		return fmt.Errorf("look up Secret %s: %w", rootSecret, err)
	}
	if root != nil && owner.Kept(root) {
		if err := adopt(ctx, r.Client, kindSecret, root, componentCitadel); err != nil {
			return err
		}
	}
	return adopt(ctx, r.Client, kindNamespace, namespace, componentBase)
}

// namespace returns the mesh's namespace. Ours is in the cache; one that somebody else made has to be asked for.
func (r *Reconciler) namespace(ctx context.Context) (*metav1.PartialObjectMetadata, error) {
	live, err := apply.Metadata(ctx, r.Client, schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}, types.NamespacedName{Name: owner.MeshNamespace})
	if err != nil {
		return nil, fmt.Errorf("look up namespace %s: %w", owner.MeshNamespace, err)
	}
	return live, nil
}

// applyRecorded applies one object outside of the stages.
func (r *Reconciler) applyRecorded(ctx context.Context, object *unstructured.Unstructured) (types.UID, error) {
	if err := r.inventory.Announce(ctx, []*unstructured.Unstructured{object}); err != nil {
		return "", err
	}
	change, err := r.applier.Apply(ctx, object)
	if err != nil {
		return "", err
	}
	r.record(change)
	return change.UID, nil
}

func meshNamespaceObject() *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace"}}
	object.SetName(owner.MeshNamespace)
	object.SetLabels(owner.Labels(componentBase))
	return object
}

func accessObject() *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": rbacGroup + "/v1", "kind": "RoleBinding",
		"roleRef": map[string]any{"apiGroup": rbacGroup, "kind": "ClusterRole", "name": meshAccessRole},
		"subjects": []any{map[string]any{
			"kind": "ServiceAccount", "name": "istio-operator", "namespace": owner.OperatorNamespace,
		}},
	}}
	object.SetName("istio-operator")
	object.SetNamespace(owner.MeshNamespace)
	object.SetLabels(owner.Labels(componentBase))
	return object
}
