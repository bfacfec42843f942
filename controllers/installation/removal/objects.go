package removal

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mesh-operator/mesh-operator/controllers/installation/kinds"
	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/names"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

var (
	kindPod       = kinds.Must("", "Pod").GroupVersionKind
	kindConfigMap = kinds.Must("", "ConfigMap").GroupVersionKind
	kindNamespace = kinds.Must("", "Namespace").GroupVersionKind
	kindSecret    = kinds.Must("", "Secret").GroupVersionKind

	ownedLabels = client.MatchingLabels{owner.LabelManagedBy: owner.ManagedBy, owner.LabelInstallation: owner.Installation}
)

// list returns the metadata of objects; a kind that is not defined has none.
func (m *removal) list(ctx context.Context, namespace string, kind schema.GroupVersionKind, options ...client.ListOption) ([]metav1.PartialObjectMetadata, error) {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	err := m.Client.List(ctx, list, append(options, client.InNamespace(namespace))...)
	if meta.IsNoMatchError(err) || client.IgnoreNotFound(err) == nil {
		return list.Items, nil
	}
	return nil, fmt.Errorf("list %s: %w", kind.Kind, err)
}

// deleteOwned deletes every object of ours of these kinds, whether or not it is in the inventory, except the operator's own
// access, without which it could not continue, and the root of trust.
func (m *removal) deleteOwned(ctx context.Context, namespace string, rows []kinds.Kind) error {
	access := apply.RefOf(m.Writer.AccessObject())
	root := apply.Ref{Kind: "Secret", Namespace: owner.MeshNamespace, Name: names.RootSecret} // a step of its own
	for _, row := range rows {
		items, err := m.list(ctx, namespace, row.GroupVersionKind, ownedLabels)
		if err != nil {
			return err
		}
		for i := range items {
			ref := apply.Ref{Group: row.Group, Kind: row.Kind, Namespace: items[i].Namespace, Name: items[i].Name}
			if ref == access || ref == root {
				continue
			}
			if err := m.delete(ctx, row.GroupVersionKind, &items[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *removal) delete(ctx context.Context, kind schema.GroupVersionKind, object *metav1.PartialObjectMetadata) error {
	if object.DeletionTimestamp != nil {
		return nil
	}
	object.SetGroupVersionKind(kind)
	_, err := apply.DeleteUID(ctx, m.Client, object)
	return err
}
