package installation

import (
	"errors"
	"testing"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
)

// TestAFailureGoesByTheQueue: controller-runtime ignores the time of a reconcile that fails, with a warning each time.
func TestAFailureGoesByTheQueue(t *testing.T) {
	failure := errors.New("refused")
	if got, err := again(time.Second, failure); got != (ctrl.Result{}) || !errors.Is(err, failure) {
		t.Errorf("after a failure: %v, %v", got, err)
	}
	if got, err := again(time.Second, nil); got != (ctrl.Result{RequeueAfter: time.Second}) || err != nil {
		t.Errorf("without one: %v, %v", got, err)
	}
}
