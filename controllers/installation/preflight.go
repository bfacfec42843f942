package installation

import (
	"context"
	"fmt"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
	"github.com/mesh-operator/mesh-operator/controllers/installation/kinds"
	"github.com/mesh-operator/mesh-operator/controllers/installation/watch"
	"github.com/mesh-operator/mesh-operator/controllers/installation/write"
	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// preflight finds conflicts before anything is written: objects of others with names that the mesh needs, and another Istio,
// whose webhooks would inject the same pods. It remembers which names were free, so that a mesh at rest costs no call.
type preflight struct {
	client client.Client
	watch  *watch.Watch
	writer *write.Writer

	checked map[apply.Ref]bool
}

func newPreflight(c client.Client, w *watch.Watch, writer *write.Writer) *preflight {
	return &preflight{client: c, watch: w, writer: writer, checked: map[apply.Ref]bool{}}
}

// check returns one sentence for each conflict. An object of ours needs no call; once it is deleted its name is checked again.
func (p *preflight) check(ctx context.Context, objects []*unstructured.Unstructured) ([]string, error) {
	var conflicts []string
	for _, object := range objects {
		ref := apply.RefOf(object)
		if p.watch.Lookup(ref) != nil {
			delete(p.checked, ref)
			continue
		}
		if p.checked[ref] {
			continue
		}
		live, err := apply.Metadata(ctx, p.client, object.GroupVersionKind(), types.NamespacedName{Namespace: ref.Namespace, Name: ref.Name})
		if meta.IsNoMatchError(err) {
			continue // a kind of Istio that is about to be defined
		}
		if err != nil {
			return nil, fmt.Errorf("look up %s: %w", ref, err)
		}
		if live != nil && !owner.Owned(live.Labels) && live.UID != p.writer.Inventory.UID(ref) {
			conflicts = append(conflicts, ref.String()+" exists and is not managed by this operator; remove or rename it")
			continue
		}
		p.checked[ref] = true
	}
	return conflicts, nil
}

// recheck checks once more what is about to be written for the first time: a stage may have waited for hours, and an apply
// takes over whatever has the name by now.
func (p *preflight) recheck(ctx context.Context, objects []*unstructured.Unstructured) ([]string, error) {
	for _, object := range objects {
		if ref := apply.RefOf(object); p.checked[ref] && !p.writer.Applied(object) {
			delete(p.checked, ref)
		}
	}
	return p.check(ctx, objects)
}

// invalidate forgets that the name was free, because the API server refused the object.
func (p *preflight) invalidate(object *unstructured.Unstructured) {
	delete(p.checked, apply.RefOf(object))
}

// checkCluster is the part of the preflight that needs no access to the mesh's namespace, and comes before it is created.
func (p *preflight) checkCluster(ctx context.Context, plan desired.Plan) ([]string, error) {
	others, err := p.otherMeshes(ctx)
	if err != nil || len(others) > 0 {
		return others, err
	}
	objects := webhookNames(plan)
	for _, object := range plan.Objects() {
		gvk := object.GroupVersionKind()
		if kind, _ := kinds.Of(gvk.Group, gvk.Kind); !kind.Namespaced && kind.Phase != kinds.Last {
			objects = append(objects, object)
		}
	}
	return p.check(ctx, objects)
}

// webhookNames are the webhooks of the plan's components, which are rendered only when the roots of trust are known. Another
// object of the same name is a conflict from the beginning.
func webhookNames(plan desired.Plan) []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	for _, c := range plan.Components {
		if c.Webhook == "" || !c.Enabled {
			continue
		}
		object := &unstructured.Unstructured{}
		object.SetGroupVersionKind(kinds.Must(kinds.AdmissionGroup, c.Webhook).GroupVersionKind)
		object.SetName(c.Workload)
		out = append(out, object)
	}
	return out
}

// otherMeshes finds the webhooks of another Istio.
func (p *preflight) otherMeshes(ctx context.Context) ([]string, error) {
	if p.watch.Lookup(apply.Ref{Group: kinds.AdmissionGroup, Kind: "MutatingWebhookConfiguration", Name: "istio-sidecar-injector"}) != nil {
		return nil, nil // ours exists; a second Istio that comes later has to resolve the conflict
	}
	list := &admissionv1.MutatingWebhookConfigurationList{}
	if err := p.client.List(ctx, list); err != nil {
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
