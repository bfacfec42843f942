// Package write is the only way in which the operator changes the mesh's objects: every write is announced in the inventory
// before it is sent, and recorded for status and Events afterwards. An operator that is killed between the two continues
// where it was, and finds what is no longer wanted.
package write

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
	"github.com/mesh-operator/mesh-operator/controllers/installation/kinds"
	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// inventoryName is the ConfigMap, beside the operator, that lists the applied objects.
const inventoryName = "istio-installation-inventory"

// Writer writes objects of one mesh. Not for concurrent use.
type Writer struct {
	Inventory *apply.Inventory

	client    client.Client
	lookup    apply.Lookup
	applier   *apply.Applier
	namespace string // of the operator
	changes   []apply.Change
}

// New returns a Writer of the operator in this namespace, that remembers nothing.
func New(c client.Client, lookup apply.Lookup, namespace string) *Writer {
	key := types.NamespacedName{Namespace: namespace, Name: inventoryName}
	return &Writer{client: c, lookup: lookup, applier: apply.New(c, lookup), namespace: namespace, Inventory: apply.NewInventory(c, key, owner.Labels(desired.ComponentBase))}
}

// Apply applies an object that is announced.
func (w *Writer) Apply(ctx context.Context, object *unstructured.Unstructured) (apply.Change, error) {
	if err := w.generate(ctx, object); err != nil {
		return apply.Change{}, err
	}
	change, err := w.applier.Apply(ctx, object)
	if err == nil {
		w.record(change)
	}
	return change, err
}

// AnnounceAndApply applies one object outside of the stages.
func (w *Writer) AnnounceAndApply(ctx context.Context, object *unstructured.Unstructured) (types.UID, error) {
	if err := w.Inventory.Announce(ctx, []*unstructured.Unstructured{object}); err != nil {
		return "", err
	}
	change, err := w.Apply(ctx, object)
	return change.UID, err
}

// Applied reports whether the object was applied with this content before.
func (w *Writer) Applied(object *unstructured.Unstructured) bool { return w.applier.Applied(object) }

// Create creates an object that may exist already as somebody else's; then it is left alone.
func (w *Writer) Create(ctx context.Context, object *unstructured.Unstructured) error {
	if err := w.Inventory.Announce(ctx, []*unstructured.Unstructured{object}); err != nil {
		return err
	}
	ref := apply.RefOf(object)
	w.applier.Drop(ref)
	err := w.client.Create(ctx, object, client.FieldOwner(apply.FieldManager))
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("create %s: %w", ref, err)
	}
	change := apply.Change{Ref: ref, UID: object.GetUID(), Action: apply.Created}
	if w.Inventory.UID(ref) != "" {
		change.Action = apply.Restored
	}
	w.record(change)
	return nil
}

// SetReplicas changes the number of pods of a workload that spec leaves to others, if it is still as in live.
func (w *Writer) SetReplicas(ctx context.Context, live *unstructured.Unstructured, replicas int32) error {
	patch := fmt.Appendf(nil, `{"metadata":{"resourceVersion":%q},"spec":{"replicas":%d}}`, live.GetResourceVersion(), replicas)
	ref := apply.RefOf(live)
	if err := w.client.Patch(ctx, live.DeepCopy(), client.RawPatch(types.MergePatchType, patch), client.FieldOwner(apply.FieldManager)); err != nil {
		return fmt.Errorf("scale %s: %w", ref, err)
	}
	w.record(apply.Change{Ref: ref, UID: live.GetUID(), Action: apply.Restored})
	return nil
}

func (w *Writer) record(change apply.Change) {
	w.Inventory.Record(change.Ref, change.UID)
	if change.Action != apply.Unchanged {
		w.changes = append(w.changes, change)
	}
}

// DrainChanges returns the changes since the last call.
func (w *Writer) DrainChanges() []apply.Change {
	changes := w.changes
	w.changes = nil
	return changes
}

// Prune deletes the objects of the inventory that are not wanted. It runs after all stages, so that a replacement exists
// before what it replaces is deleted.
func (w *Writer) Prune(ctx context.Context, wanted map[apply.Ref]bool) ([]apply.Ref, error) {
	var pruned []apply.Ref
	obsolete, _ := w.Obsolete(wanted)
	for _, entry := range obsolete {
		deleted, err := apply.Prune(ctx, w.client, entry, owner.Owned)
		if err != nil {
			return pruned, err
		}
		if deleted {
			pruned = append(pruned, entry.Ref())
		}
		w.applier.Drop(entry.Ref())
		w.Inventory.Drop(entry.Ref())
	}
	return pruned, nil
}

// Obsolete returns the entries of the inventory that Prune deletes, and those with data, which it leaves: only a removal decides about
// them.
func (w *Writer) Obsolete(wanted map[apply.Ref]bool) (obsolete, data []apply.Entry) {
	for _, object := range []*unstructured.Unstructured{NamespaceObject(), w.AccessObject()} {
		wanted[apply.RefOf(object)] = true
	}
	for _, entry := range w.Inventory.Obsolete(wanted) {
		kind, _ := kinds.Of(entry.Group, entry.Kind)
		switch {
		case entry.Kind == "CustomResourceDefinition": // users' objects depend on it; a removal decides about it too
		case kind.Removal == kinds.WithData:
			data = append(data, entry)
		default:
			obsolete = append(obsolete, entry)
		}
	}
	return obsolete, data
}

// MeshAccessRole is the ClusterRole that the operator binds to itself in the mesh's namespace, and nowhere else: its
// permissions on Secrets, Deployments and the like end there.
const MeshAccessRole = "istio-operator-mesh"

// NamespaceObject is the mesh's namespace.
func NamespaceObject() *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{}}
	object.SetGroupVersionKind(kinds.Must("", "Namespace").GroupVersionKind)
	object.SetName(owner.MeshNamespace)
	object.SetLabels(owner.Labels(desired.ComponentBase))
	return object
}

// AccessObject is the binding that gives the operator its permissions in the mesh's namespace.
func (w *Writer) AccessObject() *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{
		"roleRef": map[string]any{"apiGroup": kinds.RBACGroup, "kind": "ClusterRole", "name": MeshAccessRole},
		"subjects": []any{map[string]any{
			"kind": "ServiceAccount", "name": "istio-operator", "namespace": w.namespace,
		}},
	}}
	object.SetGroupVersionKind(kinds.Must(kinds.RBACGroup, "RoleBinding").GroupVersionKind)
	object.SetName("istio-operator")
	object.SetNamespace(owner.MeshNamespace)
	object.SetLabels(owner.Labels(desired.ComponentBase))
	return object
}
