package removal

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
	"github.com/mesh-operator/mesh-operator/controllers/installation/kinds"
	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/names"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// release removes the labels of ownership from an object that stays. Nobody manages it until there is an Installation again.
func (m *removal) release(ctx context.Context, kind schema.GroupVersionKind, object *metav1.PartialObjectMetadata) error {
	if owner.Kept(object) && !owner.Owned(object.Labels) {
		return nil
	}
	return relabel(ctx, m.Client, kind, object, func() {
		metav1.SetMetaDataAnnotation(&object.ObjectMeta, owner.AnnotationKept, string(object.UID))
		metav1.SetMetaDataAnnotation(&object.ObjectMeta, owner.AnnotationKeptComponent, object.Labels[owner.LabelComponent])
		for _, label := range []string{owner.LabelManagedBy, owner.LabelInstallation, owner.LabelComponent, owner.LabelRevision} {
			delete(object.Labels, label)
		}
	})
}

// Adopt makes ours again what an earlier removal has left in the mesh's namespace: the root of trust, which running sidecars
// trust, the volumes, and last the namespace, whose annotation says that this is still to be done.
func Adopt(ctx context.Context, c client.Client, namespace *metav1.PartialObjectMetadata) error {
	root, err := apply.Metadata(ctx, c, kindSecret, types.NamespacedName{Namespace: owner.MeshNamespace, Name: names.RootSecret})
	if err != nil {
		return fmt.Errorf("look up Secret %s: %w", names.RootSecret, err)
	}
	if root != nil {
		if err := adopt(ctx, c, kindSecret, root, desired.ComponentCitadel); err != nil {
			return err
		}
	}
	for _, row := range kinds.RemovedIn(kinds.WithData) {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(row.GroupVersion().WithKind(row.Kind + "List"))
		if err := c.List(ctx, list, client.InNamespace(owner.MeshNamespace)); err != nil {
			return fmt.Errorf("list %s: %w", row.Kind, err)
		}
		for i := range list.Items {
			if err := adopt(ctx, c, row.GroupVersionKind, &list.Items[i], desired.ComponentBase); err != nil {
				return err
			}
		}
	}
	return adopt(ctx, c, kindNamespace, namespace, desired.ComponentBase)
}

// adopt makes one object ours again if it was left behind; component is for objects that do not name theirs.
func adopt(ctx context.Context, c client.Client, kind schema.GroupVersionKind, object *metav1.PartialObjectMetadata, component string) error {
	if !owner.Kept(object) {
		return nil
	}
	if name := object.Annotations[owner.AnnotationKeptComponent]; name != "" {
		component = name
	}
	return relabel(ctx, c, kind, object, func() {
		object.Labels = owner.Label(object.Labels, component)
		delete(object.Annotations, owner.AnnotationKept)
		delete(object.Annotations, owner.AnnotationKeptComponent)
	})
}

func relabel(ctx context.Context, c client.Client, kind schema.GroupVersionKind, object *metav1.PartialObjectMetadata, change func()) error {
	object.SetGroupVersionKind(kind)
	before := object.DeepCopy()
	change()
	if err := c.Patch(ctx, object, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("change the labels of %s %s: %w", kind.Kind, object.Name, err)
	}
	return nil
}
