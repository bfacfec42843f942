package installation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/operator-framework/operator-lib/handler"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	crhandler "sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/controllers/installation/dataplane"
	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
	"github.com/mesh-operator/mesh-operator/controllers/installation/removal"
	"github.com/mesh-operator/mesh-operator/controllers/installation/report"
	"github.com/mesh-operator/mesh-operator/controllers/installation/watch"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// Finalizer keeps a deleted Installation until its mesh is removed.
const Finalizer = "istio.openshift.com/mesh"

// Reconciler makes the cluster match the Installation. One goroutine at a time uses it.
type Reconciler struct {
	// Client reads from the API server, not from a cache: a cached status may be older than the last one we wrote.
	Client  client.Client
	Watch   *watch.Watch
	Events  record.EventRecorder
	Log     *slog.Logger
	Images  desired.ImageDefaults
	Catalog desired.Catalog
	// Namespace is that of the operator and the Installation.
	Namespace string
	// CRDs returns the definitions of Istio's kinds.
	CRDs func() ([]*unstructured.Unstructured, error)

	dataPlane *dataplane.Poller
	mesh      *memory
}

// A failed reconcile is repeated after minRetryDelay, then after twice the time each time. The library's longest delay is a
// quarter of an hour: too long for somebody who waits for a deletion after the API server was away.
const (
	minRetryDelay = 50 * time.Millisecond
	maxRetryDelay = 30 * time.Second
)

// When to reconcile for what no watch has an event: conflicting objects of others, a namespace that is being deleted, a
// definition of others.
const (
	conflictRetry    = 10 * time.Second
	terminatingRetry = time.Second
	definitionRetry  = 5 * time.Second
	replacedRetry    = 30 * time.Second // the wait for proxies with a new root ends after a time
)

// Register adds the controller to mgr.
func (r *Reconciler) Register(mgr ctrl.Manager) error {
	r.mesh = newMemory(r)
	if err := mgr.Add(r.Watch); err != nil {
		return fmt.Errorf("add watches: %w", err)
	}
	r.dataPlane = dataplane.NewPoller(r.Log, r.Watch.Trigger)
	if err := mgr.Add(r.dataPlane); err != nil {
		return fmt.Errorf("add data plane poller: %w", err)
	}
	always := crhandler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: r.Namespace, Name: owner.Installation}}}
	})
	err := ctrl.NewControllerManagedBy(mgr).
		Named("installation").
		Watches(&v1alpha1.Installation{}, &handler.InstrumentedEnqueueRequestForObject[client.Object]{},
			builder.WithPredicates(predicate.Funcs{UpdateFunc: needsReconcile})).
		WatchesRawSource(source.Channel(r.Watch.Events, always)).
		WithOptions(controller.Options{RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](minRetryDelay, maxRetryDelay)}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("add controller: %w", err)
	}
	return nil
}

// Reconcile installs or removes, then computes the status from what happened, then writes it once.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
	in := &v1alpha1.Installation{}
	if err := r.Client.Get(ctx, request.NamespacedName, in); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if in.Name != owner.Installation || in.Namespace != r.Namespace {
		return ctrl.Result{}, nil // admission refuses it; this one is older than the policy
	}
	removing := !in.DeletionTimestamp.IsZero()
	if removing && !controllerutil.ContainsFinalizer(in, Finalizer) {
		return ctrl.Result{}, nil // somebody else's finalizer holds it
	}
	if err := r.Watch.Ready(ctx); err != nil {
		return ctrl.Result{}, err
	}
	if err := r.mesh.writer.Inventory.Load(ctx); err != nil {
		return r.reportError(ctx, in, err)
	}
	if removing {
		return r.reconcileRemoval(ctx, in)
	}
	r.logInstalling(in)
	if err := r.setFinalizer(ctx, in, true); err != nil {
		return r.reportError(ctx, in, err)
	}
	outcome, err := r.install(ctx, in)
	err = errors.Join(err, r.observe(&outcome))
	err = errors.Join(err, r.patchStatus(ctx, in, outcome, err))
	replaced := report.RootReplaced(in.Status)
	r.dataPlane.PollOften(replaced)
	if replaced && outcome.Retry == 0 {
		outcome.Retry = replacedRetry
	}
	return requeue(retryAfter(outcome), err)
}

// reconcileRemoval removes what it can, reports what it waits for, and removes the finalizer when nothing is left.
func (r *Reconciler) reconcileRemoval(ctx context.Context, in *v1alpha1.Installation) (ctrl.Result, error) {
	result, err := r.mesh.remover.Run(ctx, in)
	if result.Status != nil {
		outcome := report.Outcome{Generation: in.Generation, Removal: result.Status, Sidecars: result.Sidecars}
		return requeue(result.Retry, errors.Join(err, r.patchStatus(ctx, in, outcome, err)))
	}
	r.forgetMesh()
	if err := r.setFinalizer(ctx, in, false); client.IgnoreNotFound(err) != nil {
		return r.reportError(ctx, in, err)
	}
	r.recordEvents(in, append(result.Events, report.Event{Type: corev1.EventTypeNormal, Reason: "Removed", Message: "the mesh is removed"}))
	r.Log.Info("Removed istio for Installation " + in.Name)
	return ctrl.Result{}, nil
}

// forgetMesh drops everything that is known about the mesh.
func (r *Reconciler) forgetMesh() {
	r.Watch.CloseMesh()
	r.dataPlane.PollOften(false)
	r.dataPlane.Reset()
	r.mesh = newMemory(r)
}

// needsReconcile reports a change of anything but what the operator itself writes: a status whose text differs each time would
// otherwise have it reconcile without end.
func needsReconcile(e event.UpdateEvent) bool {
	before, now := e.ObjectOld, e.ObjectNew
	return before.GetUID() != now.GetUID() || before.GetGeneration() != now.GetGeneration() ||
		!before.GetDeletionTimestamp().Equal(now.GetDeletionTimestamp()) ||
		!slices.Equal(before.GetFinalizers(), now.GetFinalizers()) || !maps.Equal(before.GetAnnotations(), now.GetAnnotations())
}

// reportError writes into status what keeps a reconcile from starting. A conflict with another writer of the Installation is
// only repeated.
func (r *Reconciler) reportError(ctx context.Context, in *v1alpha1.Installation, failure error) (ctrl.Result, error) {
	if apierrors.IsConflict(failure) {
		return ctrl.Result{}, failure
	}
	outcome, _ := r.validate(in)
	if !in.DeletionTimestamp.IsZero() {
		outcome = report.Outcome{Generation: in.Generation, Removal: removal.LastStatus(in)}
	}
	return requeue(0, errors.Join(failure, r.patchStatus(ctx, in, outcome, failure)))
}

// requeue repeats a reconcile after a time, or, after a failure, when the rate limiter says so: controller-runtime ignores the
// time of a failed one.
func requeue(after time.Duration, err error) (ctrl.Result, error) {
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: after}, nil
}

// retryAfter is when to reconcile without an event; 0: never.
func retryAfter(outcome report.Outcome) time.Duration {
	if len(outcome.Conflicts) > 0 {
		return conflictRetry
	}
	return outcome.Retry
}

// logInstalling writes the line that guides of the historic operator refer to.
func (r *Reconciler) logInstalling(in *v1alpha1.Installation) {
	if r.mesh.logged != in.UID {
		r.Log.Info("Installing istio for Installation " + in.Name)
		r.mesh.logged = in.UID
	}
}

func (r *Reconciler) setFinalizer(ctx context.Context, in *v1alpha1.Installation, want bool) error {
	if controllerutil.ContainsFinalizer(in, Finalizer) == want {
		return nil
	}
	base := in.DeepCopy()
	if want {
		controllerutil.AddFinalizer(in, Finalizer)
	} else {
		controllerutil.RemoveFinalizer(in, Finalizer)
	}
	if err := r.Client.Patch(ctx, in, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("patch finalizer: %w", err)
	}
	return nil
}

// patchStatus writes the status if it changed, and then records the Events of the changes: after a failed write they are
// still changes the next time. Events about objects that were written are recorded in any case.
func (r *Reconciler) patchStatus(ctx context.Context, in *v1alpha1.Installation, outcome report.Outcome, failure error) error {
	status := report.Status(in.Status, outcome, failure, time.Now())
	events := report.Events(in.Status, status)
	r.recordEvents(in, report.ChangeEvents(outcome))
	if equality.Semantic.DeepEqual(in.Status, status) {
		return nil
	}
	base := in.DeepCopy()
	in.Status = status
	if err := r.Client.Status().Patch(ctx, in, client.MergeFrom(base)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("patch status: %w", err)
	}
	r.recordEvents(in, events)
	return nil
}

func (r *Reconciler) recordEvents(in *v1alpha1.Installation, events []report.Event) {
	for _, e := range events {
		r.Events.Event(in, e.Type, e.Reason, e.Message)
	}
}
