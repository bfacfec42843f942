package scenarios

import (
	"context"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// interrupted kills the operator whenever another part of the mesh has appeared, and once more while it removes: each time the
// next one goes on where the last one was.
func interrupted(t *testing.T) {
	must(t, mesh.ApplyFile(within(t, 30*time.Second), "istio-operator", "config/samples/istio-installation-minimal.yaml"))
	for _, name := range []string{"istio-citadel", "istio-pilot", "istio-ingressgateway"} {
		must(t, lab.Until(within(t, 2*time.Minute), name+" appears", func(ctx context.Context) error {
			_, err := mesh.Client.AppsV1().Deployments("istio-system").Get(ctx, name, metav1.GetOptions{})
			return err
		}))
		killOperator(t)
	}
	must(t, mesh.InstallationReady(within(t, 4*time.Minute)))

	_, err := mesh.Kubectl(within(t, 30*time.Second), "delete", "--wait=false", "-n", "istio-operator", "installation", "istio-installation")
	must(t, err)
	killOperator(t)
	must(t, lab.Gone(within(t, 3*time.Minute), "the Installation", func(ctx context.Context) error {
		_, err := mesh.Installation(ctx)
		return err
	}))
	must(t, nothingOfOurs(t))
}

// killOperator deletes the operator's pods without grace.
func killOperator(t *testing.T) {
	t.Helper()
	var now int64
	must(t, mesh.Client.CoreV1().Pods("istio-operator").DeleteCollection(within(t, 30*time.Second),
		metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{LabelSelector: "name=istio-operator"}))
}
