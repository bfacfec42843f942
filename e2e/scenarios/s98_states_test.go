package scenarios

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// TestRemovalFromEveryState installs the minimal resource, breaks the mesh in one way, and deletes the resource. It needs
// nothing of the other scenarios, and runs beside them on a cluster of its own.
func TestRemovalFromEveryState(t *testing.T) {
	states := []struct {
		name   string
		ready  bool
		breaks []string
	}{
		{"half installed", false, nil},
		{"pilot removed by hand", true, []string{"delete", "deployment", "-n", "istio-system", "istio-pilot"}},
		{"webhooks removed by hand", true, []string{"delete", "mutatingwebhookconfigurations,validatingwebhookconfigurations", "-l", removal}},
		{"mesh namespace removed by hand", true, []string{"delete", "--wait=false", "namespace", "istio-system"}},
	}
	installOperator(t)
	for _, state := range states {
		t.Run(state.name, func(t *testing.T) {
			must(t, mesh.ApplyFile(within(t, 30*time.Second), "istio-operator", "config/samples/istio-installation-minimal.yaml"))
			if state.ready {
				must(t, mesh.InstallationReady(within(t, 4*time.Minute)))
			}
			if state.breaks != nil {
				_, err := mesh.Kubectl(within(t, time.Minute), state.breaks...)
				must(t, err)
			}
			deleteInstallation(t)
			must(t, nothingOfOurs(t))
		})
	}
	t.Run("operator killed all the way", interrupted)
	t.Run("no operator left", withoutOperator)
}

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

// withoutOperator stops the operator and deletes only the mesh's namespace: owner references take the rest
// along.
func withoutOperator(t *testing.T) {
	must(t, mesh.ApplyFile(within(t, 30*time.Second), "istio-operator", "config/samples/istio-installation-minimal.yaml"))
	must(t, mesh.InstallationReady(within(t, 4*time.Minute)))
	deployments := mesh.Client.AppsV1().Deployments("istio-operator")
	scale, err := deployments.GetScale(within(t, 30*time.Second), "istio-operator", metav1.GetOptions{})
	must(t, err)
	scale.Spec.Replicas = 0
	_, err = deployments.UpdateScale(within(t, 30*time.Second), "istio-operator", scale, metav1.UpdateOptions{})
	must(t, err)
	must(t, lab.Until(within(t, time.Minute), "the operator is gone", func(ctx context.Context) error {
		if _, err := mesh.RunningPod(ctx, "istio-operator", "name=istio-operator"); err == nil {
			return errors.New("it still runs")
		}
		return nil
	}))
	_, err = mesh.Kubectl(within(t, 2*time.Minute), "delete", "namespace", "istio-system")
	must(t, err)
	must(t, lab.Until(within(t, 2*time.Minute), "nothing of the mesh is left", func(ctx context.Context) error {
		text, err := mesh.Kubectl(ctx, "get", "clusterroles,clusterrolebindings,mutatingwebhookconfigurations,validatingwebhookconfigurations,configmaps", "-A",
			"-l", removal+",istio.openshift.com/installation=istio-installation", "-o", "name")
		text = strings.Replace(text, "configmap/istio-installation-inventory\n", "", 1) // the operator's own, in its namespace
		if text = strings.TrimSpace(text); err == nil && text != "" {
			err = fmt.Errorf("left: %s", strings.ReplaceAll(text, "\n", " "))
		}
		return err
	}))
	scale.Spec.Replicas = 1
	scale.ResourceVersion = ""
	_, err = deployments.UpdateScale(within(t, 30*time.Second), "istio-operator", scale, metav1.UpdateOptions{})
	must(t, err)
	must(t, mesh.Available(within(t, 2*time.Minute), "istio-operator"))
	deleteInstallation(t)
	must(t, nothingOfOurs(t))
}
