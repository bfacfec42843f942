package removal

import (
	"context"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/controllers/installation/kinds"
	"github.com/mesh-operator/mesh-operator/controllers/installation/report"
	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/listing"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// lastNamespace deletes the mesh's namespace if we made it and nothing in it has to stay. Otherwise it stays, and nothing in
// it is ours any more.
func (m *removal) lastNamespace(ctx context.Context) ([]v1alpha1.Blocker, error) {
	if !m.managesNamespace() {
		return nil, nil
	}
	if !ours(m.namespace) {
		return nil, m.removeAccess(ctx)
	}
	foreign, err := m.foreign(ctx)
	if err != nil {
		return nil, err
	}
	if len(foreign) == 0 && !m.rootKept && !m.dataKept {
		m.Watch.CloseMesh()
		if err := m.delete(ctx, kindNamespace, m.namespace); err != nil {
			return nil, err
		}
		return []v1alpha1.Blocker{{Kind: "Namespace", Name: owner.MeshNamespace, Reason: "it is being deleted"}}, nil
	}
	if len(foreign) > 0 {
		m.kept = append(m.kept, report.Event{Type: corev1.EventTypeNormal, Reason: "Kept",
			Message: "namespace " + owner.MeshNamespace + " stays, because it holds " + summary(foreign)})
	}
	m.namespaceKept = len(foreign) > 0 || m.dataKept
	if err := m.release(ctx, kindNamespace, m.namespace); err != nil {
		return nil, err
	}
	return nil, m.removeAccess(ctx)
}

// removeAccess deletes the operator's own access.
func (m *removal) removeAccess(ctx context.Context) error {
	m.Watch.CloseMesh()
	object := m.Writer.AccessObject()
	kind := object.GroupVersionKind()
	live, err := apply.Metadata(ctx, m.Client, kind, types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()})
	if err != nil || live == nil {
		return err
	}
	return m.delete(ctx, kind, live)
}

// foreign returns the objects of others in the mesh's namespace. What one of the listed kinds controls is deleted with its
// controller; what a custom resource controls counts by itself, because custom resources are too many to be listed.
func (m *removal) foreign(ctx context.Context) ([]apply.Ref, error) {
	rows, err := kinds.KeepingNamespace()
	if err != nil {
		return nil, err
	}
	var refs []apply.Ref
	for _, row := range rows {
		items, err := m.list(ctx, owner.MeshNamespace, row.GroupVersionKind)
		if err != nil {
			return nil, err
		}
		for i := range items {
			if !belongsToCluster(rows, row.Kind, &items[i]) && !ours(&items[i]) {
				refs = append(refs, apply.Ref{Group: row.Group, Kind: row.Kind, Namespace: owner.MeshNamespace, Name: items[i].Name})
			}
		}
	}
	return refs, nil
}

// belongsToCluster reports objects that a cluster creates in every namespace, and those whose controller is listed itself.
func belongsToCluster(rows []kinds.Kind, kind string, object *metav1.PartialObjectMetadata) bool {
	if controller := metav1.GetControllerOf(object); controller != nil && slices.ContainsFunc(rows, func(k kinds.Kind) bool {
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
	for _, ref := range refs {
		names = append(names, ref.Kind+" "+ref.Name)
	}
	return strings.Join(listing.First(names, 3), ", ")
}
