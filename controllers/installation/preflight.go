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

// recheckConflicts repeats the preflight for what is about to be written for the first time: a stage may have waited for hours, and
// an apply would take over whatever has the name by now.
func (r *Reconciler) recheckConflicts(ctx context.Context, objects []*unstructured.Unstructured) ([]string, error) {
	for _, object := range objects {
		if ref := apply.RefOf(object); r.checked[ref] && !r.applier.Applied(object) {
			delete(r.checked, ref)
		}
	}
	return r.preflight(ctx, objects)
}

// webhookNames are the webhooks that come last, when the roots of trust are known; what has their names is in the way from the
// beginning.
func webhookNames(plan Plan) []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	for _, c := range plan.Components {
		kind := map[string]string{componentGalley: "ValidatingWebhookConfiguration", componentInjector: "MutatingWebhookConfiguration"}[c.Name]
		if kind != "" && c.Enabled {
			object := &unstructured.Unstructured{}
			object.SetAPIVersion(admissionGroup + "/v1")
			object.SetKind(kind)
			object.SetName(c.Deployment)
			out = append(out, object)
		}
	}
	return out
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
		if config := &list.Items[i]; !owner.Owned(config.Labels) && isIstioInjector(config) {
			conflicts = append(conflicts, "MutatingWebhookConfiguration "+config.Name+" belongs to another Istio; remove that Istio first")
		}
	}
	return conflicts, nil
}

func isIstioInjector(config *admissionv1.MutatingWebhookConfiguration) bool {
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
