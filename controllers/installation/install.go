package installation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
	"github.com/mesh-operator/mesh-operator/controllers/installation/kinds"
	"github.com/mesh-operator/mesh-operator/controllers/installation/report"
	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/owner"
	"github.com/mesh-operator/mesh-operator/internal/trust"
)

// install brings the cluster one step closer to spec. The events of the watches bring the next steps.
func (r *Reconciler) install(ctx context.Context, in *v1alpha1.Installation) (report.Outcome, error) {
	out, images := r.validate(in)
	if out.Invalid != "" {
		return out, nil
	}
	known := r.mesh.roots.bundle
	plan, err := r.mesh.planner.build(in, images, facts(r.Watch.MeshUID(), known))
	if err != nil {
		return out, err
	}
	out.Plan, out.Roots = plan, known
	if out.Conflicts, err = r.mesh.preflight.checkCluster(ctx, plan); err != nil || len(out.Conflicts) > 0 {
		return out, err
	}
	uid, err := r.bootstrap(ctx)
	if errors.Is(err, errNamespaceTerminating) {
		out.Waiting, out.Retry = err.Error(), terminatingRetry
		return out, nil
	}
	if err != nil {
		return out, err
	}
	return r.installInto(ctx, in, images, uid, out)
}

// validate computes what spec alone decides.
func (r *Reconciler) validate(in *v1alpha1.Installation) (report.Outcome, desired.Images) {
	out := report.Outcome{Generation: in.Generation, Unsupported: desired.UnsupportedParts(&in.Spec), Invalid: desired.Invalid(&in.Spec, r.Catalog)}
	images, warnings := desired.ChooseImages(&in.Spec, r.Images)
	out.Warnings = append(warnings, desired.Warnings(&in.Spec)...)
	return out, images
}

func facts(namespace types.UID, roots trust.Bundle) desired.Facts {
	return desired.Facts{NamespaceUID: namespace, Roots: roots.PEM()}
}

// installInto continues install once the mesh's namespace exists.
func (r *Reconciler) installInto(ctx context.Context, in *v1alpha1.Installation, images desired.Images, uid types.UID, out report.Outcome) (report.Outcome, error) {
	roots, err := r.mesh.roots.read(ctx)
	if err != nil {
		return out, err
	}
	if out.Plan, err = r.mesh.planner.build(in, images, facts(uid, roots)); err != nil {
		return out, err
	}
	out.Roots = roots
	if out.Conflicts, err = r.mesh.preflight.check(ctx, out.Plan.Objects()); err != nil || len(out.Conflicts) > 0 {
		return out, err
	}
	err = r.applyPlan(ctx, &out)
	return out, err
}

// observe adds the state of the mesh, also after a failure. It needs a plan, and access to the namespace, which an operator
// that has just started gets on the way.
func (r *Reconciler) observe(out *report.Outcome) error {
	out.Observed = len(out.Plan.Components) > 0 && (r.Watch.MeshOpen() || out.Waiting != "")
	out.Services, out.Pods = r.Watch.Services(), r.Watch.Pods()
	out.DataPlane = r.dataPlane.Update(podsOf(desired.ComponentPilot, out.Pods))
	out.Workloads = map[string]report.Workload{}
	var errs []error
	for _, c := range out.Plan.Components {
		object := r.workload(c)
		if object == nil {
			continue
		}
		workload, err := report.WorkloadOf(object)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out.Workloads[c.Name] = workload
	}
	return errors.Join(errs...)
}

// workload returns the live object that runs a component's pods, nil when there is none.
func (r *Reconciler) workload(c desired.Component) *unstructured.Unstructured {
	rows := kinds.Where(func(k kinds.Kind) bool { return k.Workload && k.Kind == c.Kind })
	if len(rows) == 0 {
		return nil
	}
	return r.Watch.Workload(rows[0], c.Workload)
}

func podsOf(component string, pods []*corev1.Pod) []*corev1.Pod {
	return slices.DeleteFunc(slices.Clone(pods), func(p *corev1.Pod) bool { return p.Labels[owner.LabelComponent] != component })
}

// applyPlan applies the stages, and deletes what is no longer wanted when all of them are complete.
func (r *Reconciler) applyPlan(ctx context.Context, out *report.Outcome) error {
	waiting, err := r.mesh.definitions.ensure(ctx)
	if err != nil {
		return err
	}
	inventory := r.mesh.writer.Inventory
	if err := inventory.Announce(ctx, out.Plan.Objects()); err != nil {
		return err
	}
	defer func() { out.Changes = append(out.Changes, r.mesh.writer.DrainChanges()...) }()
	if waiting != "" {
		out.Waiting, out.Retry = waiting, definitionRetry
		return nil
	}
	if err := r.Watch.OpenIstio(ctx); err != nil {
		r.mesh.definitions.invalidate()
		return err
	}
	err = r.applyStages(ctx, out)
	if err = errors.Join(err, r.restoreScale(ctx, out.Plan)); err != nil || out.Waiting != "" || len(out.Conflicts) > 0 {
		return errors.Join(err, inventory.Save(ctx))
	}
	if out.Pruned, err = r.mesh.writer.Prune(ctx, out.Plan.Refs()); err != nil {
		return err
	}
	return inventory.Save(ctx)
}

// applyStages applies stage after stage. A stage starts when the one before it is ready. Until then the objects that it has
// already are repaired, so that a component that does not start does not keep the others from being repaired.
func (r *Reconciler) applyStages(ctx context.Context, out *report.Outcome) error {
	var errs []error
	for _, stage := range out.Plan.Stages {
		stage.Objects = withAccountUIDs(stage.Objects, r.mesh.writer.Inventory.UID) // known once the first stage is applied
		if out.Waiting == "" && stage.NeedsRoots && out.Roots.Empty() {
			out.Waiting = rootsMissingMessage(out.Plan)
		}
		held := out.Waiting != "" || len(errs) > 0
		if held {
			stage.Objects = slices.DeleteFunc(stage.Objects, func(o *unstructured.Unstructured) bool { return !r.mesh.writer.Applied(o) })
		}
		conflicts, err := r.mesh.preflight.recheck(ctx, stage.Objects)
		if err != nil || len(conflicts) > 0 {
			out.Conflicts = conflicts
			return errors.Join(append(errs, err)...)
		}
		pending, err := r.applyStage(ctx, stage)
		if err != nil {
			errs = append(errs, err)
		}
		if !held && len(pending) > 0 {
			out.Waiting = strings.Join(pending, " and ") + " to become ready"
		}
	}
	return errors.Join(errs...)
}

// rootsMissingMessage is what stages wait for that need the roots of trust.
func rootsMissingMessage(plan desired.Plan) string {
	citadel := func(c desired.Component) bool { return c.Name == desired.ComponentCitadel }
	if i := slices.IndexFunc(plan.Components, citadel); i >= 0 && !plan.Components[i].Enabled {
		return "the roots of trust, which nobody publishes while spec.components.citadel.enabled is false"
	}
	return "citadel to publish the roots of trust"
}

// applyStage returns the names of the workloads that the next stage has to wait for. An object that is refused does not keep
// the others of its stage from being applied.
func (r *Reconciler) applyStage(ctx context.Context, stage desired.Stage) ([]string, error) {
	var errs []error
	var pending []string
	for _, object := range stage.Objects {
		change, err := r.mesh.writer.Apply(ctx, object)
		if err != nil {
			r.mesh.preflight.invalidate(object)
			if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
				r.mesh.definitions.invalidate()
			}
			errs = append(errs, withInstallationField(object, err))
			continue
		}
		if stage.WaitReady && !r.ready(change) {
			pending = append(pending, change.Ref.Name)
		}
	}
	return pending, errors.Join(errs...)
}

// ready asks kstatus about a workload; an object of another kind is ready when it exists.
func (r *Reconciler) ready(change apply.Change) bool {
	row, ok := kinds.Of(change.Ref.Group, change.Ref.Kind)
	if !ok || !row.Workload {
		return true
	}
	if change.Stale {
		return false // the watch has not seen the last write yet
	}
	live := change.Live
	if live == nil {
		live = r.Watch.Workload(row, change.Ref.Name)
	}
	if live == nil {
		return false
	}
	ready, err := apply.Ready(live)
	if err != nil {
		r.Log.Error("Cannot compute readiness", "object", fmt.Sprint(change.Ref), "error", err)
	}
	return err == nil && ready
}
