package installation

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// The stages of a removal, in their order.
//
// Webhooks go first, because they fail closed: with their servers gone no pod could be created. Workloads go before what they
// write at run time, or they would write it again. Permissions go after the workloads that use them, and the namespace last.
const (
	removeWebhooks  = "Webhooks"
	removeWorkloads = "Workloads"
	removeRuntime   = "RuntimeObjects"
	removeAccess    = "Access"
	removeNamespace = "Namespace"
)

const maxBlockers = 20

// A removal that stands is looked at after firstPoll, and then more and more rarely.
const (
	minPollInterval = time.Second
	maxPollInterval = 10 * time.Second
)

// removal is one attempt to remove the mesh, from the beginning: every stage finds its work done or does it, so it does not
// matter in which state the mesh was or where the last attempt ended.
type removal struct {
	r             *Reconciler
	in            *v1alpha1.Installation
	namespace     *metav1.PartialObjectMetadata // of the mesh; nil: gone
	hasAccess     bool                          // the operator has its access to the namespace
	sidecarPods   []string                      // pods with a sidecar
	rootKept      bool                          // the root of trust stays, for them
	namespaceKept bool                          // the namespace stays, because others have objects in it
	kept          []Event                       // what stays on purpose
}

type removalStep struct {
	name string
	run  func(context.Context) ([]v1alpha1.Blocker, error)
}

// reconcileRemoval removes what it can, says what it waits for, and lets the Installation go when nothing is left.
func (r *Reconciler) reconcileRemoval(ctx context.Context, in *v1alpha1.Installation) (ctrl.Result, error) {
	run := removal{r: r, in: in}
	status, err := run.remove(ctx)
	err = errors.Join(err, run.countSidecars(ctx))
	if status == nil && err == nil {
		err = r.inventory.Delete(ctx)
	}
	if status != nil || err != nil {
		if status == nil {
			status = lastRemovalStatus(in)
		}
		r.pollInterval = nextPollInterval(in.Status.Removal, status, r.pollInterval)
		outcome := Outcome{Generation: in.Generation, Removal: status, Sidecars: run.sidecarPods}
		return requeue(r.pollInterval, errors.Join(err, r.patchStatus(ctx, in, outcome, err)))
	}
	r.forgetMesh()
	if err := r.setFinalizer(ctx, in, false); client.IgnoreNotFound(err) != nil {
		return r.reportError(ctx, in, err)
	}
	r.recordEvents(in, append(run.finalEvents(), Event{corev1.EventTypeNormal, "Removed", "the mesh is removed"}))
	r.Log.Info("Removed istio for Installation " + in.Name)
	return ctrl.Result{}, nil
}

// lastRemovalStatus is what the last attempt said.
func lastRemovalStatus(in *v1alpha1.Installation) *v1alpha1.RemovalStatus {
	if in.Status.Removal != nil {
		return in.Status.Removal
	}
	return &v1alpha1.RemovalStatus{Stage: removeWebhooks}
}

// nextPollInterval is when to look at a removal again of which no event tells: soon while it goes on, later and later while it stands.
func nextPollInterval(before, now *v1alpha1.RemovalStatus, last time.Duration) time.Duration {
	if last == 0 || !equality.Semantic.DeepEqual(before, now) {
		return minPollInterval
	}
	return min(2*last, maxPollInterval)
}

// forgetMesh forgets everything that was known about the mesh.
func (r *Reconciler) forgetMesh() {
	r.Watch.CloseMesh()
	r.dataPlane.Forget()
	r.applier.Reset()
	clear(r.checked)
	clear(r.established)
	r.changes, r.planKey, r.rootsVersion, r.rootsPEM, r.loggedUID, r.sidecars, r.pollInterval = nil, "", "", nil, "", nil, 0
}

// remove returns how far it came, nil when nothing is left.
func (m *removal) remove(ctx context.Context) (*v1alpha1.RemovalStatus, error) {
	var err error
	if m.namespace, err = m.r.namespace(ctx); err != nil {
		return nil, err
	}
	if m.hasAccess, err = m.access(ctx); err != nil {
		return nil, err
	}
	stages := []removalStep{
		{removeWebhooks, m.webhooks},
		{removeNamespace, m.waitTerminating},
		{removeWorkloads, m.ensureAccess},
		{removeWorkloads, m.workloads},
		{removeRuntime, m.runtimeObjects},
		{removeAccess, m.permissions},
		{removeNamespace, m.lastNamespace},
	}
	for _, stage := range stages {
		blockers, err := stage.run(ctx)
		if err != nil {
			return nil, fmt.Errorf("remove %s: %w", stage.name, err)
		}
		if len(blockers) > 0 {
			status := &v1alpha1.RemovalStatus{Stage: stage.name, Remaining: int32(len(blockers))} //nolint:gosec // a count of objects
			status.Blockers = blockers[:min(len(blockers), maxBlockers)]
			return status, nil
		}
	}
	return nil, nil
}

// ownsContent reports whether the operator has business in the mesh's namespace: one that it neither made nor put anything into
// is left alone. Its access tells the same as the inventory, for somebody may have deleted that.
func (m *removal) ownsContent() bool {
	return m.namespace != nil && (ours(m.namespace) || m.hasAccess || len(m.r.inventory.Entries()) > 0)
}

// access reports whether the operator has its access to the namespace.
func (m *removal) access(ctx context.Context) (bool, error) {
	object := accessObject()
	key := types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()}
	live, err := apply.Metadata(ctx, m.r.Client, object.GroupVersionKind(), key)
	if err != nil {
		return false, fmt.Errorf("look up %s: %w", apply.RefOf(object), err)
	}
	return live != nil && owner.Owned(live.Labels), nil
}

// ours is true for what we made, also when an earlier removal has left it behind.
func ours(object *metav1.PartialObjectMetadata) bool {
	return owner.Owned(object.Labels) || owner.Kept(object)
}

func (m *removal) webhooks(ctx context.Context) ([]v1alpha1.Blocker, error) {
	return nil, m.deleteOwned(ctx, "", webhookKinds)
}

// waitTerminating waits for a namespace that is being deleted already, by us or by somebody else: citadel may run in it until
// the end, and nothing new can be made in it, not even our own access.
func (m *removal) waitTerminating(ctx context.Context) ([]v1alpha1.Blocker, error) {
	if m.namespace == nil || m.namespace.DeletionTimestamp == nil {
		return nil, nil
	}
	return []v1alpha1.Blocker{{Kind: "Namespace", Name: owner.MeshNamespace,
		Reason: "it is being deleted; kubectl get namespace " + owner.MeshNamespace + " -o yaml tells what it waits for"}}, nil
}

// ensureAccess makes sure of the operator's own access, without which nothing in the namespace can be removed.
func (m *removal) ensureAccess(ctx context.Context) ([]v1alpha1.Blocker, error) {
	if !m.ownsContent() {
		return nil, nil
	}
	_, err := m.r.applyRecorded(ctx, accessObject())
	return nil, err
}

// workloads deletes what runs and waits until it has stopped.
func (m *removal) workloads(ctx context.Context) ([]v1alpha1.Blocker, error) {
	if !m.ownsContent() {
		return nil, nil
	}
	if err := m.deleteOwned(ctx, owner.MeshNamespace, workloadKinds); err != nil {
		return nil, err
	}
	pods, err := m.list(ctx, owner.MeshNamespace, kindPod, ownedLabels)
	if err != nil {
		return nil, err
	}
	var blockers []v1alpha1.Blocker
	for _, pod := range pods {
		blockers = append(blockers, v1alpha1.Blocker{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, Reason: "it is stopping"})
	}
	return blockers, nil
}

// permissions takes back what components were allowed to do.
func (m *removal) permissions(ctx context.Context) ([]v1alpha1.Blocker, error) {
	if m.ownsContent() {
		if err := m.deleteOwned(ctx, owner.MeshNamespace, accessKinds); err != nil {
			return nil, err
		}
	}
	return nil, m.deleteOwned(ctx, "", clusterAccessKinds)
}
