package installation

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// foreignKinds are what a namespace is kept for. What one of them controls comes and goes with it; what a custom resource
// controls is looked at by itself, because custom resources are too many to be listed.
var foreignKinds = []schema.GroupVersionKind{
	{Version: "v1", Kind: "ConfigMap"}, {Version: "v1", Kind: "Secret"}, {Version: "v1", Kind: "Service"},
	{Version: "v1", Kind: "ServiceAccount"}, {Version: "v1", Kind: "PersistentVolumeClaim"}, {Version: "v1", Kind: "Pod"},
	{Group: "apps", Version: "v1", Kind: "Deployment"}, {Group: "apps", Version: "v1", Kind: "StatefulSet"},
	{Group: "apps", Version: "v1", Kind: "DaemonSet"}, {Group: "apps", Version: "v1", Kind: "ReplicaSet"},
	{Group: "batch", Version: "v1", Kind: "Job"}, {Group: "batch", Version: "v1", Kind: "CronJob"},
	{Group: "networking.k8s.io", Version: "v1", Kind: "Ingress"}, {Group: "networking.k8s.io", Version: "v1", Kind: "NetworkPolicy"},
	{Group: rbacGroup, Version: "v1", Kind: "Role"}, {Group: rbacGroup, Version: "v1", Kind: "RoleBinding"},
	{Group: "networking.istio.io", Version: "v1", Kind: "VirtualService"}, {Group: "networking.istio.io", Version: "v1", Kind: "DestinationRule"},
	{Group: "networking.istio.io", Version: "v1", Kind: "Gateway"}, {Group: "security.istio.io", Version: "v1", Kind: "PeerAuthentication"},
}

// lastNamespace deletes the mesh's namespace if we made it, nothing of anybody else is in it and the root may go. Otherwise it
// stays, and nothing in it is ours any more.
func (m *removal) lastNamespace(ctx context.Context) ([]v1alpha1.Blocker, error) {
	if !m.ownsContent() {
		return nil, nil
	}
	if !ours(m.namespace) {
		return nil, m.removeAccess(ctx)
	}
	foreign, err := m.foreign(ctx)
	if err != nil {
		return nil, err
	}
	if len(foreign) == 0 && !m.rootKept {
		m.r.Watch.CloseMesh()
		if err := m.delete(ctx, kindNamespace, m.namespace); err != nil {
			return nil, err
		}
		return []v1alpha1.Blocker{{Kind: "Namespace", Name: owner.MeshNamespace, Reason: "it is being deleted"}}, nil
	}
	if len(foreign) > 0 {
		m.kept = append(m.kept, Event{corev1.EventTypeNormal, "Kept",
			"namespace " + owner.MeshNamespace + " stays, because it holds " + summary(foreign)})
	}
	m.namespaceKept = len(foreign) > 0
	if err := m.release(ctx, kindNamespace, m.namespace); err != nil {
		return nil, err
	}
	return nil, m.removeAccess(ctx)
}

// removeAccess gives up the operator's own access.
func (m *removal) removeAccess(ctx context.Context) error {
	m.r.Watch.CloseMesh()
	ref := apply.RefOf(accessObject())
	kind := accessObject().GroupVersionKind()
	live, err := apply.Metadata(ctx, m.r.Client, kind, types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name})
	if err != nil || live == nil {
		return err
	}
	return m.delete(ctx, kind, live)
}

// release takes our labels off an object that stays: from now on it is nobody's, until there is an Installation again.
func (m *removal) release(ctx context.Context, kind schema.GroupVersionKind, object *metav1.PartialObjectMetadata) error {
	if owner.Kept(object) && !owner.Owned(object.Labels) {
		return nil
	}
	return relabel(ctx, m.r.Client, kind, object, func() {
		for _, label := range []string{owner.LabelManagedBy, owner.LabelInstallation, owner.LabelComponent, owner.LabelRevision} {
			delete(object.Labels, label)
		}
		metav1.SetMetaDataAnnotation(&object.ObjectMeta, owner.AnnotationKept, string(object.UID))
	})
}

// adopt makes an object that a removal left behind ours again.
func adopt(ctx context.Context, c client.Client, kind schema.GroupVersionKind, object *metav1.PartialObjectMetadata, component string) error {
	return relabel(ctx, c, kind, object, func() {
		object.Labels = owner.Label(object.Labels, component)
		delete(object.Annotations, owner.AnnotationKept)
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

// foreign returns what others have in the mesh's namespace.
func (m *removal) foreign(ctx context.Context) ([]apply.Ref, error) {
	var refs []apply.Ref
	for _, kind := range foreignKinds {
		items, err := m.list(ctx, owner.MeshNamespace, kind)
		if err != nil {
			return nil, err
		}
		for i := range items {
			if !belongsToCluster(kind.Kind, &items[i]) && !ours(&items[i]) {
				refs = append(refs, apply.Ref{Group: kind.Group, Kind: kind.Kind, Namespace: owner.MeshNamespace, Name: items[i].Name})
			}
		}
	}
	return refs, nil
}

// belongsToCluster reports objects that a cluster puts into every namespace, and those that another object stands for.
func belongsToCluster(kind string, object *metav1.PartialObjectMetadata) bool {
	if controller := metav1.GetControllerOf(object); controller != nil && slices.ContainsFunc(foreignKinds, func(k schema.GroupVersionKind) bool {
		return k.GroupVersion().String() == controller.APIVersion && k.Kind == controller.Kind
	}) {
		return true
	}
	switch kind {
	case "ConfigMap":
		return object.Name == "kube-root-ca.crt" || object.Name == "openshift-service-ca.crt"
	case "ServiceAccount":
		return object.Name == "default" || object.Name == "builder" || object.Name == "deployer" || object.Name == "pipeline"
	case "Secret":
		return object.Annotations["kubernetes.io/service-account.name"] != ""
	case "RoleBinding":
		return strings.HasPrefix(object.Name, "system:")
	}
	return false
}

// summary names the first three and counts the rest.
func summary(refs []apply.Ref) string {
	var names []string
	for i, ref := range refs {
		if i == 3 {
			names = append(names, fmt.Sprintf("%d more", len(refs)-3))
			break
		}
		names = append(names, ref.Kind+" "+ref.Name)
	}
	return strings.Join(names, ", ")
}
