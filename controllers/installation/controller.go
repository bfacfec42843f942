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
	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// Finalizer keeps a deleted Installation until its mesh is removed.
const Finalizer = "istio.openshift.com/mesh"

// inventoryName is the ConfigMap, beside the operator, that lists what was applied.
const inventoryName = "istio-installation-inventory"

// Reconciler makes the cluster as the Installation says. One goroutine at a time uses it.
type Reconciler struct {
	// Client talks to the API server directly: a status from a cache may be older than our own last one.
	Client client.Client
	Watch  *Watch
	Events record.EventRecorder
	Log    *slog.Logger
	Images ImageDefaults
	// CRDs returns the definitions of Istio's kinds.
	CRDs func() ([]*unstructured.Unstructured, error)

	applier      *apply.Applier
	inventory    *apply.Inventory
	dataPlane    *dataPlane
	checked      map[apply.Ref]bool // passed the preflight
	established  map[string]string  // definitions that are served, and whose they are
	changes      []apply.Change
	planKey      string
	lastPlan     Plan
	rootsVersion string
	rootsPEM     []byte
	loggedUID    types.UID     // Installation that the log has heard of
	sidecars     []string      // pods that had a sidecar when the removal began; nil: not looked at yet
	pollInterval time.Duration // between the last two looks at a removal
}

// What failed is tried again after firstRetry, then twice as late each time. The library's slowest is a quarter of an hour: too
// long for somebody who waits for a deletion after the API server was away.
const (
	minRetryDelay = 50 * time.Millisecond
	maxRetryDelay = 30 * time.Second
)

// When to look again at what no watch tells about: objects of others that are in the way, a namespace that is going, a
// definition of others.
const (
	conflictRetry    = 10 * time.Second
	terminatingRetry = time.Second
	definitionRetry  = 5 * time.Second
)

// Register adds the controller to mgr.
func (r *Reconciler) Register(mgr ctrl.Manager) error {
	r.prepare()
	if err := mgr.Add(r.Watch); err != nil {
		return fmt.Errorf("add watches: %w", err)
	}
	r.dataPlane = newDataPlane(r.Log, r.Watch.Trigger)
	if err := mgr.Add(r.dataPlane); err != nil {
		return fmt.Errorf("add questions to pilot: %w", err)
	}
	always := crhandler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: owner.OperatorNamespace, Name: owner.Installation}}}
	})
	err := ctrl.NewControllerManagedBy(mgr).
		Named("installation").
		Watches(&v1alpha1.Installation{}, &handler.InstrumentedEnqueueRequestForObject[client.Object]{},
			builder.WithPredicates(predicate.Funcs{UpdateFunc: needsReconcile})).
		WatchesRawSource(source.Channel(r.Watch.events, always)).
		WithOptions(controller.Options{RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](minRetryDelay, maxRetryDelay)}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("add controller: %w", err)
	}
	return nil
}

// prepare gives the Reconciler its memory.
func (r *Reconciler) prepare() {
	r.applier = apply.New(r.Client, r.Watch.Lookup)
	r.inventory = apply.NewInventory(r.Client, types.NamespacedName{Namespace: owner.OperatorNamespace, Name: inventoryName}, owner.Labels(componentBase))
	r.checked, r.established = map[apply.Ref]bool{}, map[string]string{}
}

// Reconcile installs or removes, then computes the status from what happened, then writes it once.
func (r *Reconciler) Reconcile(ctx context.Context, request reconcile.Request) (ctrl.Result, error) {
	in := &v1alpha1.Installation{}
	if err := r.Client.Get(ctx, request.NamespacedName, in); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if in.Name != owner.Installation || in.Namespace != owner.OperatorNamespace {
		return ctrl.Result{}, nil // admission refuses it; this one is older than the policy
	}
	removing := !in.DeletionTimestamp.IsZero()
	if removing && !controllerutil.ContainsFinalizer(in, Finalizer) {
		return ctrl.Result{}, nil // somebody else's finalizer holds it
	}
	if err := r.Watch.Ready(ctx); err != nil {
		return ctrl.Result{}, err
	}
	if err := r.inventory.Load(ctx); err != nil {
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
	r.observe(&outcome)
	return requeue(retryAfter(outcome), errors.Join(err, r.patchStatus(ctx, in, outcome, err)))
}

// needsReconcile reports whether an Installation asks for something else than before. The operator's own status does not, or a reason
// that differs each time, such as a port, would have it try again at once and for ever.
func needsReconcile(e event.UpdateEvent) bool {
	before, now := e.ObjectOld, e.ObjectNew
	return before.GetUID() != now.GetUID() || before.GetGeneration() != now.GetGeneration() ||
		!before.GetDeletionTimestamp().Equal(now.GetDeletionTimestamp()) ||
		!slices.Equal(before.GetFinalizers(), now.GetFinalizers()) || !maps.Equal(before.GetAnnotations(), now.GetAnnotations())
}

// reportError says in status what keeps a reconcile from doing anything. That somebody wrote the Installation at the same moment is
// no trouble.
func (r *Reconciler) reportError(ctx context.Context, in *v1alpha1.Installation, failure error) (ctrl.Result, error) {
	if apierrors.IsConflict(failure) {
		return ctrl.Result{}, failure
	}
	outcome, _ := r.validate(in)
	if !in.DeletionTimestamp.IsZero() {
		outcome = Outcome{Generation: in.Generation, Removal: lastRemovalStatus(in)}
	}
	return requeue(0, errors.Join(failure, r.patchStatus(ctx, in, outcome, failure)))
}

// requeue looks once more after a time, or after a failure when the queue says so: it waits longer and longer, and takes no
// other time from a reconcile that has failed.
func requeue(after time.Duration, err error) (ctrl.Result, error) {
	if err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: after}, nil
}

// retryAfter is when to look again although there was no event.
func retryAfter(outcome Outcome) time.Duration {
	if len(outcome.Conflicts) > 0 {
		return conflictRetry
	}
	return outcome.Retry
}

// logInstalling writes the line that guides of the historic operator look for.
func (r *Reconciler) logInstalling(in *v1alpha1.Installation) {
	if r.loggedUID != in.UID {
		r.Log.Info("Installing istio for Installation " + in.Name)
		r.loggedUID = in.UID
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

// patchStatus writes the status if it changed, and then an Event for everything that did: what could not be written will be new
// once more. What was done is done, and is told in any case.
func (r *Reconciler) patchStatus(ctx context.Context, in *v1alpha1.Installation, outcome Outcome, failure error) error {
	status := Status(in.Status, outcome, failure, time.Now())
	events := Events(in.Status, status)
	r.recordEvents(in, changeEvents(outcome))
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

func (r *Reconciler) recordEvents(in *v1alpha1.Installation, events []Event) {
	for _, e := range events {
		r.Events.Event(in, e.Type, e.Reason, e.Message)
	}
}
