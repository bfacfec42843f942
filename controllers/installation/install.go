package installation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// install brings the cluster one step closer to what the Installation says, and further with every event that follows.
func (r *Reconciler) install(ctx context.Context, in *v1alpha1.Installation) (Outcome, error) {
	out, images := r.validate(in)
	if out.Invalid != "" {
		return out, nil
	}
	plan, err := r.plan(in, images, Facts{NamespaceUID: r.Watch.uid, Roots: r.rootsPEM})
	if err != nil {
		return out, err
	}
	out.Plan, out.Roots = plan, r.rootsPEM
	if out.Conflicts, err = r.checkClusterConflicts(ctx, plan); err != nil || len(out.Conflicts) > 0 {
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

// validate is what the Installation alone tells.
func (r *Reconciler) validate(in *v1alpha1.Installation) (Outcome, Images) {
	out := Outcome{Generation: in.Generation, Unsupported: unsupportedParts(&in.Spec), Invalid: invalidSpec(&in.Spec)}
	images, warnings := chooseImages(&in.Spec, r.Images)
	out.Warnings = append(warnings, specWarnings(&in.Spec)...)
	return out, images
}

// installInto is install once there is a namespace to install into.
func (r *Reconciler) installInto(ctx context.Context, in *v1alpha1.Installation, images Images, uid types.UID, out Outcome) (Outcome, error) {
	roots, err := r.roots(ctx)
	if err != nil {
		return out, err
	}
	if out.Plan, err = r.plan(in, images, Facts{NamespaceUID: uid, Roots: roots}); err != nil {
		return out, err
	}
	out.Roots = roots
	if out.Conflicts, err = r.preflight(ctx, out.Plan.Objects()); err != nil || len(out.Conflicts) > 0 {
		return out, err
	}
	err = r.applyPlan(ctx, &out)
	return out, err
}

// observe adds what the mesh is like, also when something kept the operator from changing it. A plan is needed to know what to
// look at, and access to the namespace, which an operator that has just started gets on the way.
func (r *Reconciler) observe(out *Outcome) {
	out.Observed = len(out.Plan.Components) > 0 && (r.Watch.mesh != nil || out.Waiting != "")
	out.Deployments, out.Services, out.Pods = r.Watch.Deployments(), r.Watch.Services(), r.Watch.Pods()
	out.Problems, out.DataPlane = podProblems(out.Pods), r.dataPlane.Update(out.Pods)
}

// checkClusterConflicts is the part of the preflight that needs no access to the mesh's namespace, and so comes before it is made.
func (r *Reconciler) checkClusterConflicts(ctx context.Context, plan Plan) ([]string, error) {
	others, err := r.otherMeshes(ctx)
	if err != nil || len(others) > 0 {
		return others, err
	}
	objects := webhookNames(plan)
	for _, object := range plan.Objects() {
		if object.GetNamespace() == "" && !strings.HasSuffix(object.GetKind(), "WebhookConfiguration") {
			objects = append(objects, object)
		}
	}
	return r.preflight(ctx, objects)
}

// plan computes the desired objects, once for each spec and set of facts.
func (r *Reconciler) plan(in *v1alpha1.Installation, images Images, facts Facts) (Plan, error) {
	key := fmt.Sprintf("%s/%d/%s/%x", in.UID, in.Generation, facts.NamespaceUID, facts.Roots)
	if r.planKey == key {
		return r.lastPlan, nil
	}
	plan, err := Desired(Input{Spec: &in.Spec, Images: images, Facts: facts})
	if err != nil {
		return Plan{}, err
	}
	r.planKey, r.lastPlan = key, plan
	return plan, nil
}

// applyPlan applies the stages, and deletes what is no longer wanted when all of them are through.
func (r *Reconciler) applyPlan(ctx context.Context, out *Outcome) error {
	crds, err := r.istioDefinitions(ctx)
	if err != nil {
		return err
	}
	if err := r.inventory.Announce(ctx, out.Plan.Objects()); err != nil {
		return err
	}
	defer func() { out.Changes = append(out.Changes, r.drainChanges()...) }()
	if crds != "" {
		out.Waiting, out.Retry = crds, definitionRetry
		return nil
	}
	if err := r.Watch.OpenIstio(ctx); err != nil {
		clear(r.established)
		return err
	}
	if err := r.applyStages(ctx, out); err != nil || out.Waiting != "" || len(out.Conflicts) > 0 {
		return errors.Join(err, r.inventory.Save(ctx))
	}
	if out.Pruned, err = r.prune(ctx, out.Plan); err != nil {
		return err
	}
	return r.inventory.Save(ctx)
}

// applyStages applies stage after stage. A stage comes when the one before it is ready; until then what it has is kept as it
// is, so that a component that does not come up does not keep the others from being repaired.
func (r *Reconciler) applyStages(ctx context.Context, out *Outcome) error {
	var errs []error
	for _, stage := range out.Plan.Stages {
		if out.Waiting == "" && stage.NeedsRoots && len(out.Roots) == 0 {
			out.Waiting = rootsMissingMessage(out.Plan)
		}
		held := out.Waiting != "" || len(errs) > 0
		if held {
			stage.Objects = slices.DeleteFunc(slices.Clone(stage.Objects), func(o *unstructured.Unstructured) bool { return !r.applier.Applied(o) })
		}
		conflicts, err := r.recheckConflicts(ctx, stage.Objects)
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

// rootsMissingMessage says what the stages wait for that need the roots of trust.
func rootsMissingMessage(plan Plan) string {
	citadel := func(c Component) bool { return c.Name == componentCitadel }
	if i := slices.IndexFunc(plan.Components, citadel); i >= 0 && !plan.Components[i].Enabled {
		return "the roots of trust, which nobody publishes while spec.components.citadel.enabled is false"
	}
	return "citadel to publish the roots of trust"
}

// applyStage returns what the next stage has to wait for. One object that is refused does not keep the others of its stage.
func (r *Reconciler) applyStage(ctx context.Context, stage Stage) ([]string, error) {
	var errs []error
	var pending []string
	for _, object := range stage.Objects {
		change, err := r.applier.Apply(ctx, object)
		if err != nil {
			r.invalidate(object, err)
			errs = append(errs, err)
			continue
		}
		r.record(change)
		if stage.WaitReady && !r.ready(change) {
			pending = append(pending, change.Ref.Name)
		}
	}
	return pending, errors.Join(errs...)
}

// record notes a change for the inventory and for who looks at the Installation.
func (r *Reconciler) record(change apply.Change) {
	r.inventory.Record(change.Ref, change.UID)
	if change.Action != apply.Unchanged {
		r.changes = append(r.changes, change)
	}
}

// invalidate forgets what a refusal puts into question: that nobody has the object's name, and that its kind is defined.
func (r *Reconciler) invalidate(object *unstructured.Unstructured, refusal error) {
	delete(r.checked, apply.RefOf(object))
	if meta.IsNoMatchError(refusal) || apierrors.IsNotFound(refusal) {
		clear(r.established)
	}
}

// ready asks kstatus about Deployments; the other kinds of a stage that holds are ready when they exist.
func (r *Reconciler) ready(change apply.Change) bool {
	if change.Ref.Kind != "Deployment" {
		return true
	}
	if change.Stale {
		return false // what the cache says is about an earlier template
	}
	live := change.Live
	if live == nil {
		deployment, ok := r.Watch.Deployments()[change.Ref.Name]
		if !ok {
			return false
		}
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(deployment)
		if err != nil {
			return false
		}
		live = &unstructured.Unstructured{Object: content}
		live.SetAPIVersion("apps/v1")
		live.SetKind("Deployment")
	}
	ready, err := apply.Ready(live)
	return err == nil && ready
}

// prune deletes what an earlier spec wanted. It runs after everything wanted is there, so that a replacement exists before
// what it replaces goes.
func (r *Reconciler) prune(ctx context.Context, plan Plan) ([]apply.Ref, error) {
	wanted := plan.Refs()
	for _, object := range []*unstructured.Unstructured{meshNamespaceObject(), accessObject()} {
		wanted[apply.RefOf(object)] = true
	}
	var pruned []apply.Ref
	for _, entry := range r.inventory.Obsolete(wanted) {
		if entry.Kind == "CustomResourceDefinition" {
			continue // a definition holds the users' objects; only a removal decides about it
		}
		deleted, err := apply.Prune(ctx, r.Client, entry, owner.Owned)
		if err != nil {
			return pruned, err
		}
		if deleted {
			pruned = append(pruned, entry.Ref())
		}
		delete(r.checked, entry.Ref())
		r.applier.Drop(entry.Ref())
		r.inventory.Drop(entry.Ref())
	}
	return pruned, nil
}

func (r *Reconciler) drainChanges() []apply.Change {
	changes := r.changes
	r.changes = nil
	return changes
}
