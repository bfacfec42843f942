package installation

import (
	"context"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
)

func (r *Reconciler) reconcileRemoval(ctx context.Context, in *v1alpha1.Installation) (ctrl.Result, error) {
	return ctrl.Result{}, nil
}
