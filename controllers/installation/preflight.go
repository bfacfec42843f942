package installation

import (
	"context"
	"fmt"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// preflight looks for what stands in the way before anything is written: objects of the names we need that are not ours, and
// another Istio, whose webhooks would inject the same pods. It returns one sentence for each. Objects that we know of already
// are not asked about, so a mesh at rest costs no call; one that has left may have made room for somebody else's.
func (r *Reconciler) preflight(ctx context.Context, objects []*unstructured.Unstructured) ([]string, error) {
	var conflicts []string
	for _, object := range objects {
		ref := apply.RefOf(object)
		if r.Watch.Lookup(ref) != nil {
			delete(r.checked, ref)
			continue
		}
		if r.checked[ref] {
			continue
		}
		live, err := apply.Metadata(ctx, r.Client, object.GroupVersionKind(), types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name})
		if meta.IsNoMatchError(err) {
			continue // a kind of Istio that is about to be defined
		}
		if err != nil {
			return nil, fmt.Errorf("look up %s: %w", ref, err)
		}
		if live != nil && !owner.Owned(live.Labels) && live.UID != r.inventory.UID(ref) {
			conflicts = append(conflicts, ref.String()+" exists and is not managed by this operator; remove or rename it")
			continue
		}
		r.checked[ref] = true
	}
	return conflicts, nil
}

// otherMeshes looks for webhooks of another Istio.
func (r *Reconciler) otherMeshes(ctx context.Context) ([]string, error) {
	if r.Watch.Lookup(apply.Ref{Group: admissionGroup, Kind: "MutatingWebhookConfiguration", Name: "istio-sidecar-injector"}) != nil {
		return nil, nil // ours is in place; a second Istio that comes later is its own problem
	}
	list := &admissionv1.MutatingWebhookConfigurationList{}
	if err := r.Client.List(ctx, list); err != nil {
		return nil, fmt.Errorf("look for other meshes: %w", err)
	}
	var conflicts []string
	for i := range list.Items {
		if config := &list.Items[i]; !owner.Owned(config.Labels) && injectsIstio(config) {
			conflicts = append(conflicts, "MutatingWebhookConfiguration "+config.Name+" belongs to another Istio; remove that Istio first")
		}
	}
	return conflicts, nil
}

func injectsIstio(config *admissionv1.MutatingWebhookConfiguration) bool {
	if config.Labels["app"] == "sidecar-injector" || config.Labels["operator.istio.io/component"] != "" {
		return true
	}
	for _, webhook := range config.Webhooks {
		if service := webhook.ClientConfig.Service; service != nil && strings.HasPrefix(service.Name, "istiod") {
			return true
		}
	}
	return false
}
