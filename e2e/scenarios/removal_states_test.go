package scenarios

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// TestRemovalFromEveryState installs the minimal resource, breaks the mesh in one way, and deletes the resource: each time the
// API has the same objects as before.
func TestRemovalFromEveryState(t *testing.T) {
	emptyCluster(t)
	states := []struct {
		name   string
		until  string // the Deployment to wait for; empty: a Ready mesh
		breaks []string
	}{
		{"with citadel only", "istio-citadel", nil},
		{"half installed", "istio-pilot", nil},
		{"pilot removed by hand", "", []string{"delete", "deployment", "-n", "istio-system", "istio-pilot"}},
		{"webhooks removed by hand", "", []string{"delete", "mutatingwebhookconfigurations,validatingwebhookconfigurations", "-l", managed}},
		{"mesh namespace removed by hand", "", []string{"delete", "--wait=false", "namespace", "istio-system"}},
	}
	installOperator(t)
	atEnd(t, 3*time.Minute, deleteOperator)
	clean := withOperatorOnly(t)
	for _, state := range states {
		t.Run(state.name, func(t *testing.T) {
			minimal(t)
			if state.until != "" {
				appears(t, state.until)
			} else {
				must(t, mesh.InstallationReady(within(t, 4*time.Minute)))
			}
			if state.breaks != nil {
				_, err := mesh.Kubectl(within(t, time.Minute), state.breaks...)
				must(t, err)
			}
			deleteInstallation(t)
			unchanged(t, clean, istioCRD)
		})
	}
	t.Run("operator killed at every step", func(t *testing.T) { interrupted(t, clean) })
	t.Run("no operator left", func(t *testing.T) { withoutOperator(t, clean) })
}

// minimal creates the resource without spec.
func minimal(t *testing.T) {
	t.Helper()
	must(t, mesh.ApplyFile(within(t, 30*time.Second), "istio-operator", "config/samples/istio-installation-minimal.yaml"))
}

// withOperatorOnly lists the objects once the operator has written what it writes without an Installation.
func withOperatorOnly(t *testing.T) []string {
	t.Helper()
	policies := mesh.Client.AdmissionregistrationV1()
	objects, err := lab.Objects(read(t, "controllers/installation/admission/policies.yaml"))
	must(t, err)
	must(t, lab.Until(within(t, time.Minute), "all admission policies and their bindings exist", func(ctx context.Context) error {
		defined, err := policies.ValidatingAdmissionPolicies().List(ctx, metav1.ListOptions{LabelSelector: managed})
		if err != nil {
			return err
		}
		bound, err := policies.ValidatingAdmissionPolicyBindings().List(ctx, metav1.ListOptions{LabelSelector: managed})
		if err == nil && len(defined.Items)+len(bound.Items) != len(objects) {
			err = fmt.Errorf("%d policies and %d bindings of %d", len(defined.Items), len(bound.Items), len(objects))
		}
		return err
	}))
	return snapshot(t)
}

// appears waits for a Deployment of the mesh.
func appears(t *testing.T, deployment string) {
	t.Helper()
	must(t, lab.Until(within(t, 2*time.Minute), deployment+" appears", func(ctx context.Context) error {
		_, err := mesh.Client.AppsV1().Deployments("istio-system").Get(ctx, deployment, metav1.GetOptions{})
		return err
	}))
}

// unchanged waits until the API has the objects of clean, except those that except names.
func unchanged(t *testing.T, clean []string, except func(object string) bool) {
	t.Helper()
	must(t, lab.Until(within(t, 2*time.Minute), "the API has the same objects as before", func(ctx context.Context) error {
		now, err := mesh.Snapshot(ctx)
		if err != nil {
			return err
		}
		return lab.Changes(clean, now, except)
	}))
}

// interrupted kills the operator after each part of the installation, and during the removal: each time the next one
// continues.
func interrupted(t *testing.T, clean []string) {
	minimal(t)
	for _, name := range []string{"istio-citadel", "istio-pilot", "istio-ingressgateway"} {
		appears(t, name)
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
	unchanged(t, clean, istioCRD)
}

// killOperator deletes the operator's pods without a grace period.
func killOperator(t *testing.T) {
	t.Helper()
	var now int64
	must(t, mesh.Client.CoreV1().Pods("istio-operator").DeleteCollection(within(t, 30*time.Second),
		metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{LabelSelector: "name=istio-operator"}))
}

// withoutOperator stops the operator and deletes only the mesh's namespace: the garbage collector deletes the rest by owner
// references.
func withoutOperator(t *testing.T, clean []string) {
	minimal(t)
	must(t, mesh.InstallationReady(within(t, 4*time.Minute)))
	deployments := mesh.Client.AppsV1().Deployments("istio-operator")
	scale, err := deployments.GetScale(within(t, 30*time.Second), "istio-operator", metav1.GetOptions{})
	must(t, err)
	scale.Spec.Replicas = 0
	_, err = deployments.UpdateScale(within(t, 30*time.Second), "istio-operator", scale, metav1.UpdateOptions{})
	must(t, err)
	must(t, lab.Until(within(t, time.Minute), "the operator has stopped", func(ctx context.Context) error {
		if _, err := mesh.ReadyPod(ctx, "istio-operator", "name=istio-operator"); err == nil {
			return errors.New("it still runs")
		}
		return nil
	}))
	_, err = mesh.Kubectl(within(t, 2*time.Minute), "delete", "namespace", "istio-system")
	must(t, err)
	unchanged(t, clean, func(object string) bool { // the Installation and its inventory stay until an operator runs
		return istioCRD(object) || slices.Contains([]string{
			"installations.istio.openshift.com istio-operator/istio-installation", "configmaps istio-operator/istio-installation-inventory"}, object)
	})
	scale.Spec.Replicas = 1
	scale.ResourceVersion = ""
	_, err = deployments.UpdateScale(within(t, 30*time.Second), "istio-operator", scale, metav1.UpdateOptions{})
	must(t, err)
	must(t, mesh.Available(within(t, 2*time.Minute), "istio-operator"))
	deleteInstallation(t)
	unchanged(t, clean, istioCRD)
}
