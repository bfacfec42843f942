package installation

import (
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
)

// TestRequeueLeavesFailuresToTheRateLimiter: controller-runtime ignores the time of a reconcile that fails, with a warning each time.
func TestRequeueLeavesFailuresToTheRateLimiter(t *testing.T) {
	failure := errors.New("refused")
	if got, err := requeue(time.Second, failure); got != (ctrl.Result{}) || !errors.Is(err, failure) {
		t.Errorf("after a failure: %v, %v", got, err)
	}
	if got, err := requeue(time.Second, nil); got != (ctrl.Result{RequeueAfter: time.Second}) || err != nil {
		t.Errorf("without one: %v, %v", got, err)
	}
}

// TestNeedsReconcile: what a person or the API server changes is looked at, what the operator itself writes into status is not.
func TestNeedsReconcile(t *testing.T) {
	cases := map[string]struct {
		change func(*v1alpha1.Installation)
		want   bool
	}{
		"Status":       {func(in *v1alpha1.Installation) { in.ResourceVersion, in.Status.ObservedGeneration = "2", 7 }, false},
		"ManagedField": {func(in *v1alpha1.Installation) { in.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "m"}} }, false},
		"Spec":         {func(in *v1alpha1.Installation) { in.Generation++ }, true},
		"Deleted":      {func(in *v1alpha1.Installation) { in.DeletionTimestamp = &metav1.Time{Time: time.Now()} }, true},
		"Finalizer":    {func(in *v1alpha1.Installation) { in.Finalizers = nil }, true},
		"Annotation":   {func(in *v1alpha1.Installation) { in.Annotations = map[string]string{"looked-at": "now"} }, true},
		"Recreated":    {func(in *v1alpha1.Installation) { in.UID = "v" }, true},
	}
	for name, c := range cases {
		before := &v1alpha1.Installation{ObjectMeta: metav1.ObjectMeta{UID: "u", ResourceVersion: "1", Generation: 1, Finalizers: []string{Finalizer}}}
		after := before.DeepCopy()
		c.change(after)
		if got := needsReconcile(event.UpdateEvent{ObjectOld: before, ObjectNew: after}); got != c.want {
			t.Errorf("%s: asks is %t, want %t", name, got, c.want)
		}
	}
}
