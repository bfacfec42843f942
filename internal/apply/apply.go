// Package apply writes objects to the cluster by server-side apply under one field manager, and finds out afterwards what
// became of them. It knows nothing about any component.
//
//   - Applier.Apply makes one object as wanted. What others added to it stays; what they changed of ours comes back. An
//     object that is as we left it costs no call.
//   - Inventory remembers what was applied, from before the first write until after the last deletion, and Prune deletes what
//     is no longer wanted: by UID, so that never another object of the same name goes.
//   - Ready says whether an object has become what it describes (kstatus).
package apply

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// FieldManager is the name under which this product owns fields.
const FieldManager = "mesh-operator"

// Ref names an object without its API version, which may change while the object stays the same.
type Ref struct {
	Group, Kind, Namespace, Name string
}

// RefOf names an object.
func RefOf(object *unstructured.Unstructured) Ref {
	gvk := object.GroupVersionKind()
	return Ref{Group: gvk.Group, Kind: gvk.Kind, Namespace: object.GetNamespace(), Name: object.GetName()}
}

// String is the object in messages: kind, namespace and name.
func (r Ref) String() string {
	if r.Namespace == "" {
		return r.Kind + " " + r.Name
	}
	return r.Kind + " " + r.Namespace + "/" + r.Name
}

// Action is what Apply did.
type Action string

// What Apply can have done.
const (
	Unchanged  Action = ""
	Created    Action = "created"
	Configured Action = "configured"
	Restored   Action = "restored" // someone else had changed or deleted what we want
)

// Change is the outcome of one Apply.
type Change struct {
	Ref    Ref
	UID    types.UID
	Action Action
	// By is the field manager that is to blame for a Restored object; empty when it was deleted or left no trace.
	By string
	// Live is the object as the API server returned it; nil when nothing was written.
	Live *unstructured.Unstructured
	// Stale is true while the cache does not show our last write yet.
	Stale bool
}

// Lookup returns the metadata of a live object from a cache, nil when the cache has none.
type Lookup func(Ref) metav1.Object

// Applier applies objects. It remembers what it applied for as long as it lives; a new one applies everything once, which
// the API server answers without a write when nothing differs. Not for concurrent use.
type Applier struct {
	client  client.Client
	lookup  Lookup
	applied map[Ref]record
}

// record is an object as the last Apply left it.
type record struct {
	wanted  [sha256.Size]byte // hash of what was applied
	uid     types.UID
	version string
	fields  []byte // the fields we own, as the API server tracks them
}

// New returns an Applier that asks lookup for the state of what it applied.
func New(c client.Client, lookup Lookup) *Applier {
	return &Applier{client: c, lookup: lookup, applied: map[Ref]record{}}
}

// Reset drops what is remembered, so that everything is applied again.
func (a *Applier) Reset() { clear(a.applied) }

// Drop forgets one object, because we have deleted it or made it again by other means: what has its name from now on is
// neither drift nor somebody else's.
func (a *Applier) Drop(ref Ref) { delete(a.applied, ref) }

// Applied reports whether object was applied just so before.
func (a *Applier) Applied(object *unstructured.Unstructured) bool {
	last, known := a.applied[RefOf(object)]
	wanted, err := hash(object)
	return known && err == nil && last.wanted == wanted
}

// Apply makes object as wanted.
func (a *Applier) Apply(ctx context.Context, object *unstructured.Unstructured) (Change, error) {
	ref := RefOf(object)
	wanted, err := hash(object)
	if err != nil {
		return Change{}, fmt.Errorf("hash %s: %w", ref, err)
	}
	live := a.lookup(ref)
	last, known := a.applied[ref]
	isStale := last.isStale(live)
	if known && (live == nil || live.GetUID() != last.uid) {
		if live, err = a.lookupLive(ctx, object.GroupVersionKind(), ref, last.uid); err != nil {
			return Change{}, err
		}
	}
	if known && last.wanted == wanted && last.matches(live) {
		return Change{Ref: ref, UID: last.uid, Stale: isStale}, nil
	}
	result := object.DeepCopy()
	err = a.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(result), client.FieldOwner(FieldManager), client.ForceOwnership)
	if err != nil {
		return Change{}, fmt.Errorf("apply %s: %w", ref, err)
	}
	a.applied[ref] = record{wanted: wanted, uid: result.GetUID(), version: result.GetResourceVersion(), fields: ownFields(result)}
	change := Change{Ref: ref, UID: result.GetUID(), Live: result}
	change.Action, change.By = describe(live, result, known && last.wanted == wanted)
	return change, nil
}

// lookupLive reads an object that the cache has lost, or does not have yet: an apply would take over an object of somebody else
// that has its name by now. What is remembered of ours is then dropped, so that the check for conflicts finds the other one.
func (a *Applier) lookupLive(ctx context.Context, gvk schema.GroupVersionKind, ref Ref, uid types.UID) (metav1.Object, error) {
	now, err := Metadata(ctx, a.client, gvk, types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name})
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", ref, err)
	}
	if now == nil {
		return nil, nil
	}
	if now.UID != uid {
		delete(a.applied, ref)
		return nil, fmt.Errorf("apply %s: another object of that name has taken its place", ref)
	}
	return now, nil
}

// isStale reports a cache that is older than what the record says.
func (r record) isStale(live metav1.Object) bool {
	return live == nil || older(live.GetResourceVersion(), r.version)
}

// matches reports whether live is still as the record says: the same object, and we own the same fields. Whoever changes or
// removes the value of a field takes it from us in managedFields, so nothing else has to be compared. A cache that lags
// behind our own write is not a sign of drift.
func (r record) matches(live metav1.Object) bool {
	if live == nil {
		return false
	}
	if live.GetUID() != r.uid {
		return false
	}
	return live.GetResourceVersion() == r.version || r.isStale(live) || bytes.Equal(ownFields(live), r.fields)
}

// older reports a version before another (KEP-5504); one that cannot be compared is not older.
func older(a, b string) bool {
	order, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && order < 0
}

// describe compares the object before and after an Apply.
func describe(before metav1.Object, after *unstructured.Unstructured, same bool) (Action, string) {
	switch {
	case before != nil && before.GetUID() == after.GetUID() && before.GetResourceVersion() == after.GetResourceVersion():
		return Unchanged, ""
	case same && (before == nil || before.GetUID() != after.GetUID()):
		return Restored, ""
	case same:
		return Restored, lastManager(before)
	case before == nil && after.GetGeneration() <= 1:
		return Created, ""
	}
	return Configured, ""
}

// ownFields returns the fields that we own by apply.
func ownFields(object metav1.Object) []byte {
	for _, entry := range object.GetManagedFields() {
		if entry.Manager == FieldManager && entry.Operation == metav1.ManagedFieldsOperationApply && entry.Subresource == "" && entry.FieldsV1 != nil {
			return canonical(entry.FieldsV1.GetRawBytes())
		}
	}
	return nil
}

// canonical makes equal JSON equal bytes: an object that came as unstructured has lost the order of its keys.
func canonical(data []byte) []byte {
	var value any
	if json.Unmarshal(data, &value) != nil {
		return data
	}
	out, err := json.Marshal(value)
	if err != nil {
		return data
	}
	return out
}

// lastManager names who wrote last, beside us and beside writers of the status.
func lastManager(object metav1.Object) string {
	name, at := "", metav1.Time{}
	for _, entry := range object.GetManagedFields() {
		if entry.Manager == FieldManager || entry.Subresource != "" || entry.Time == nil {
			continue
		}
		if name == "" || at.Before(entry.Time) {
			name, at = entry.Manager, *entry.Time
		}
	}
	return name
}

func hash(object *unstructured.Unstructured) ([sha256.Size]byte, error) {
	data, err := json.Marshal(object.Object) // map keys are sorted
	return sha256.Sum256(data), err
}

// Metadata returns the live object's metadata from the API server, nil when there is none.
func Metadata(ctx context.Context, c client.Reader, gvk schema.GroupVersionKind, key types.NamespacedName) (*metav1.PartialObjectMetadata, error) {
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(gvk)
	err := c.Get(ctx, key, object)
	if err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	return object, nil
}
