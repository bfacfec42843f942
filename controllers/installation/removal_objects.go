package installation

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

var (
	kindPod       = schema.GroupVersionKind{Version: "v1", Kind: "Pod"}
	kindConfigMap = schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}
	kindNamespace = schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}
	kindSecret    = schema.GroupVersionKind{Version: "v1", Kind: "Secret"}

	webhookKinds = []schema.GroupVersionKind{
		{Group: admissionGroup, Version: "v1", Kind: "MutatingWebhookConfiguration"},
		{Group: admissionGroup, Version: "v1", Kind: "ValidatingWebhookConfiguration"},
	}
	workloadKinds = []schema.GroupVersionKind{
		{Group: "autoscaling", Version: "v2", Kind: "HorizontalPodAutoscaler"},
		{Group: "apps", Version: "v1", Kind: "Deployment"},
		{Group: "policy", Version: "v1", Kind: "PodDisruptionBudget"},
		{Version: "v1", Kind: "Service"},
		{Group: "security.istio.io", Version: "v1", Kind: "PeerAuthentication"},
	}
	accessKinds = []schema.GroupVersionKind{
		kindConfigMap,
		{Group: rbacGroup, Version: "v1", Kind: "RoleBinding"},
		{Group: rbacGroup, Version: "v1", Kind: "Role"},
		{Version: "v1", Kind: "ServiceAccount"},
	}
	clusterAccessKinds = []schema.GroupVersionKind{
		{Group: rbacGroup, Version: "v1", Kind: "ClusterRoleBinding"},
		{Group: rbacGroup, Version: "v1", Kind: "ClusterRole"},
		{Group: admissionGroup, Version: "v1", Kind: "ValidatingAdmissionPolicyBinding"},
		{Group: admissionGroup, Version: "v1", Kind: "ValidatingAdmissionPolicy"},
	}

	ownedLabels = client.MatchingLabels{owner.LabelManagedBy: owner.ManagedBy, owner.LabelInstallation: owner.Installation}
)

// list returns the metadata of objects; a kind that is not defined has none.
func (m *removal) list(ctx context.Context, namespace string, kind schema.GroupVersionKind, options ...client.ListOption) ([]metav1.PartialObjectMetadata, error) {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	err := m.r.Client.List(ctx, list, append(options, client.InNamespace(namespace))...)
	if meta.IsNoMatchError(err) || client.IgnoreNotFound(err) == nil {
		return list.Items, nil
	}
	return nil, fmt.Errorf("list %s: %w", kind.Kind, err)
}

// deleteOwned deletes everything of ours of these kinds, whether the inventory knows it or not, except the operator's own
// access, without which it could not go on.
func (m *removal) deleteOwned(ctx context.Context, namespace string, kinds []schema.GroupVersionKind) error {
	access := apply.RefOf(accessObject())
	for _, kind := range kinds {
		items, err := m.list(ctx, namespace, kind, ownedLabels)
		if err != nil {
			return err
		}
		for i := range items {
			ref := apply.Ref{Group: kind.Group, Kind: kind.Kind, Namespace: items[i].Namespace, Name: items[i].Name}
			if ref == access {
				continue
			}
			if err := m.delete(ctx, kind, &items[i]); err != nil {
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
	_, err := apply.DeleteUID(ctx, m.r.Client, object)
	return err
}
