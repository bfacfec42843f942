package apply

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Entry is one applied object.
type Entry struct {
	Group     string    `json:"group,omitempty"`
	Version   string    `json:"version"`
	Kind      string    `json:"kind"`
	Namespace string    `json:"namespace,omitempty"`
	Name      string    `json:"name"`
	UID       types.UID `json:"uid,omitempty"` // empty: announced, and perhaps never written
}

// Ref names the entry's object.
func (e Entry) Ref() Ref {
	return Ref{Group: e.Group, Kind: e.Kind, Namespace: e.Namespace, Name: e.Name}
}

// GVK is the kind in the version it was applied in.
func (e Entry) GVK() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: e.Group, Version: e.Version, Kind: e.Kind}
}

// Inventory is the list of applied objects, kept in a ConfigMap.
type Inventory struct {
	client  client.Client
	key     types.NamespacedName
	labels  map[string]string
	entries map[Ref]Entry
	stored  string
	loaded  bool
}

// NewInventory returns the inventory stored in the ConfigMap key.
func NewInventory(c client.Client, key types.NamespacedName, labels map[string]string) *Inventory {
	return &Inventory{client: c, key: key, labels: labels, entries: map[Ref]Entry{}}
}

// Load reads the ConfigMap, once.
func (i *Inventory) Load(ctx context.Context) error {
	if i.loaded {
		return nil
	}
	object := &corev1.ConfigMap{}
	err := i.client.Get(ctx, i.key, object)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("read inventory: %w", err)
	}
	i.stored = object.Data["objects"]
	for line := range strings.Lines(i.stored) {
		var entry Entry
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			return fmt.Errorf("read inventory: parse line %q of ConfigMap %s: %w (delete the ConfigMap: it is written anew)", line, i.key, err)
		}
		i.entries[entry.Ref()] = entry
	}
	i.loaded = true
	return nil
}

// Announce adds objects that are about to be applied and writes the list when it grew.
func (i *Inventory) Announce(ctx context.Context, objects []*unstructured.Unstructured) error {
	for _, object := range objects {
		gvk, ref := object.GroupVersionKind(), RefOf(object)
		entry := i.entries[ref]
		i.entries[ref] = Entry{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind, Namespace: ref.Namespace, Name: ref.Name, UID: entry.UID}
	}
	return i.save(ctx)
}

// Record notes the UID of an applied object; Save writes it.
func (i *Inventory) Record(ref Ref, uid types.UID) {
	if entry, ok := i.entries[ref]; ok && uid != "" {
		entry.UID = uid
		i.entries[ref] = entry
	}
}

// UID returns the UID under which an object was applied, empty when it was not.
func (i *Inventory) UID(ref Ref) types.UID { return i.entries[ref].UID }

// Save writes the list when it differs from what is stored.
func (i *Inventory) Save(ctx context.Context) error { return i.save(ctx) }

// Entries returns the list, sorted.
func (i *Inventory) Entries() []Entry {
	return slices.SortedFunc(maps.Values(i.entries), func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}

func (i *Inventory) save(ctx context.Context) error {
	var text strings.Builder
	for _, entry := range i.Entries() {
		line, err := json.Marshal(entry)
		if err != nil {
			return fmt.Errorf("write inventory: %w", err)
		}
		text.Write(line)
		text.WriteByte('\n')
	}
	if text.String() == i.stored {
		return nil
	}
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"data": map[string]any{"objects": text.String()},
	}}
	object.SetName(i.key.Name)
	object.SetNamespace(i.key.Namespace)
	object.SetLabels(i.labels)
	err := i.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner(FieldManager), client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("write inventory: %w", err)
	}
	i.stored = text.String()
	return nil
}

// Drop forgets an entry; Save writes it.
func (i *Inventory) Drop(ref Ref) { delete(i.entries, ref) }

// Delete deletes the ConfigMap itself, last of all.
func (i *Inventory) Delete(ctx context.Context) error {
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: i.key.Namespace, Name: i.key.Name}}
	if err := client.IgnoreNotFound(i.client.Delete(ctx, object)); err != nil {
		return fmt.Errorf("delete inventory: %w", err)
	}
	i.entries, i.stored, i.loaded = map[Ref]Entry{}, "", false
	return nil
}

// Obsolete returns the entries that are not among wanted.
func (i *Inventory) Obsolete(wanted map[Ref]bool) []Entry {
	return slices.DeleteFunc(i.Entries(), func(e Entry) bool { return wanted[e.Ref()] })
}

// Prune deletes the entry's object if it is the one that was applied: the same UID, or, when the operator was killed before
// it could note the UID, one that owned says is ours. It reports whether a deletion was asked for.
func Prune(ctx context.Context, c client.Client, entry Entry, owned func(labels map[string]string) bool) (bool, error) {
	live, err := Metadata(ctx, c, entry.GVK(), types.NamespacedName{Namespace: entry.Namespace, Name: entry.Name})
	if meta.IsNoMatchError(err) {
		return false, nil // the kind is gone, and its objects with it
	}
	if err != nil {
		return false, fmt.Errorf("look up %s: %w", entry.Ref(), err)
	}
	if live == nil || live.DeletionTimestamp != nil {
		return false, nil
	}
	if entry.UID != "" && live.UID != entry.UID || !owned(live.Labels) {
		return false, nil
	}
	return DeleteUID(ctx, c, live)
}

// DeleteUID deletes exactly this object, and what it owns in the background.
func DeleteUID(ctx context.Context, c client.Client, live *metav1.PartialObjectMetadata) (bool, error) {
	uid, gvk, key := live.UID, live.GroupVersionKind(), client.ObjectKeyFromObject(live)
	err := c.Delete(ctx, live, client.Preconditions{UID: &uid}, client.PropagationPolicy(metav1.DeletePropagationBackground))
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if apierrors.IsConflict(err) {
		// Another object of that name is none of ours; but the API server has other reasons for the same answer.
		now, lookup := Metadata(ctx, c, gvk, key)
		if lookup == nil && (now == nil || now.UID != uid || now.DeletionTimestamp != nil) {
			return false, nil
		}
		err = errors.Join(err, lookup)
	}
	if err != nil {
		return false, fmt.Errorf("delete %s %s: %w", gvk.Kind, key.Name, err)
	}
	return true, nil
}
