package installation

import (
	"context"
	"fmt"
	"slices"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// restoreScale sets components back to one pod that somebody scaled to 0, where neither spec nor an autoscaler decides the
// number of pods: without a pod of the injector, pods of injected namespaces are refused.
func (r *Reconciler) restoreScale(ctx context.Context, plan desired.Plan) error {
	for _, c := range plan.Components {
		live := r.workload(c)
		if !c.Enabled || c.Replicas != nil || c.Autoscaled || live == nil || !scaledToZero(live) {
			continue
		}
		autoscaled, err := r.hasAutoscaler(ctx, c)
		if err != nil {
			return err
		}
		if autoscaled {
			continue
		}
		if err := r.mesh.writer.SetReplicas(ctx, live, 1); err != nil {
			return err
		}
	}
	return nil
}

// scaledToZero reports a workload with a number of pods that is 0.
func scaledToZero(object *unstructured.Unstructured) bool {
	replicas, found, _ := unstructured.NestedInt64(object.Object, "spec", "replicas")
	return found && replicas == 0
}

// hasAutoscaler asks the API server, because only autoscalers of ours are watched; a component with 0 pods is rare.
func (r *Reconciler) hasAutoscaler(ctx context.Context, c desired.Component) (bool, error) {
	list := &autoscalingv2.HorizontalPodAutoscalerList{}
	if err := r.Client.List(ctx, list, client.InNamespace(owner.MeshNamespace)); err != nil {
		return false, fmt.Errorf("list autoscalers: %w", err)
	}
	return slices.ContainsFunc(list.Items, func(a autoscalingv2.HorizontalPodAutoscaler) bool {
		return a.Spec.ScaleTargetRef.Kind == c.Kind && a.Spec.ScaleTargetRef.Name == c.Workload
	}), nil
}
