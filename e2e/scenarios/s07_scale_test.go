package scenarios

import (
	"context"
	"fmt"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// TestScale asks for an autoscaler and a disruption budget, and takes them back: both come, a deleted one comes back, both go.
// The number of replicas stays, for it is the user's as long as the resource names none.
func TestScale(t *testing.T) {
	autoscaler := func(ctx context.Context) error {
		_, err := mesh.Client.AutoscalingV2().HorizontalPodAutoscalers("istio-system").Get(ctx, "istio-pilot", metav1.GetOptions{})
		return err
	}
	budget := func(ctx context.Context) error {
		_, err := mesh.Client.PolicyV1().PodDisruptionBudgets("istio-system").Get(ctx, "istio-pilot", metav1.GetOptions{})
		return err
	}
	change(t, `{"spec":{"components":{"pilot":{"autoscaling":{"minReplicas":2,"maxReplicas":3},"podDisruptionBudget":{"minAvailable":1}}}}}`,
		`{"spec":{"components":null}}`)
	must(t, lab.Until(within(t, time.Minute), "the autoscaler is there", autoscaler))
	must(t, lab.Until(within(t, time.Minute), "the budget is there", budget))
	must(t, lab.Until(within(t, 2*time.Minute), "the autoscaler's two replicas run", func(ctx context.Context) error {
		d, err := mesh.Client.AppsV1().Deployments("istio-system").Get(ctx, "istio-pilot", metav1.GetOptions{})
		if err == nil && d.Status.AvailableReplicas < 2 {
			err = fmt.Errorf("%d available", d.Status.AvailableReplicas)
		}
		return err
	}))
	must(t, mesh.Client.PolicyV1().PodDisruptionBudgets("istio-system").Delete(within(t, 30*time.Second), "istio-pilot", metav1.DeleteOptions{}))
	must(t, lab.Until(within(t, time.Minute), "the deleted budget is back", budget))

	must(t, edit(within(t, 2*time.Minute), `{"spec":{"components":null}}`))
	must(t, lab.Gone(within(t, time.Minute), "the autoscaler", autoscaler))
	must(t, lab.Gone(within(t, time.Minute), "the budget", budget))
	_, err := mesh.Kubectl(within(t, 30*time.Second), "scale", "deployment", "-n", "istio-system", "istio-pilot", "--replicas=1")
	must(t, err)
	must(t, mesh.Available(within(t, time.Minute), "istio-system"))
	if err := budget(within(t, 30*time.Second)); !apierrors.IsNotFound(err) {
		t.Errorf("the budget: %v", err)
	}
}
