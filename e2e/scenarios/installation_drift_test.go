package scenarios

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// TestInstallationDrift changes the operator's objects by hand: it restores its own fields and leaves the users' additions.
func TestInstallationDrift(t *testing.T) {
	installation(t)
	deployments := mesh.Client.AppsV1().Deployments("istio-system")
	t.Run("a deleted Deployment is restored", func(t *testing.T) {
		isRestored(t, "istio-galley")
		must(t, mesh.InstallationReady(within(t, 2*time.Minute)))
	})
	t.Run("an edited field is restored", func(t *testing.T) {
		patch := []byte(`{"spec":{"template":{"spec":{"serviceAccountName":"default"}}}}`)
		_, err := deployments.Patch(within(t, 30*time.Second), "istio-galley", types.StrategicMergePatchType, patch, metav1.PatchOptions{FieldManager: "somebody"})
		must(t, err)
		must(t, lab.Until(within(t, time.Minute), "the account is restored", func(ctx context.Context) error {
			d, err := deployments.Get(ctx, "istio-galley", metav1.GetOptions{})
			if err == nil && d.Spec.Template.Spec.ServiceAccountName != "istio-galley-service-account" {
				err = fmt.Errorf("account is %s", d.Spec.Template.Spec.ServiceAccountName)
			}
			return err
		}))
		must(t, mesh.InstallationReady(within(t, 2*time.Minute)))
	})
	t.Run("a deleted webhook is restored", func(t *testing.T) {
		webhooks := mesh.Client.AdmissionregistrationV1().MutatingWebhookConfigurations()
		must(t, webhooks.Delete(within(t, 30*time.Second), "istio-sidecar-injector", metav1.DeleteOptions{}))
		must(t, lab.Until(within(t, time.Minute), "the webhook is restored with its CA", func(ctx context.Context) error {
			w, err := webhooks.Get(ctx, "istio-sidecar-injector", metav1.GetOptions{})
			if err == nil && len(w.Webhooks[0].ClientConfig.CABundle) == 0 {
				err = fmt.Errorf("no caBundle")
			}
			return err
		}))
	})
	t.Run("a port added by hand stays", addedPortStays)
	t.Run("pods of a recreated account are replaced", accountRecreated)
	t.Run("a component without pods gets them back", scaledToZero)
}

// accountRecreated deletes the account of citadel, which the operator puts back: the tokens of the running pod are those of an
// account that is gone, so another pod takes over.
func accountRecreated(t *testing.T) {
	old, err := mesh.RunningPod(within(t, 30*time.Second), "istio-system", "istio=citadel")
	must(t, err)
	must(t, mesh.Client.CoreV1().ServiceAccounts("istio-system").Delete(within(t, 30*time.Second), old.Spec.ServiceAccountName, metav1.DeleteOptions{}))
	must(t, lab.Until(within(t, 2*time.Minute), "only another pod runs", func(ctx context.Context) error {
		pods, err := mesh.Client.CoreV1().Pods("istio-system").List(ctx, metav1.ListOptions{LabelSelector: "istio=citadel"})
		if err == nil && slices.ContainsFunc(pods.Items, func(p corev1.Pod) bool { return p.UID == old.UID }) {
			err = fmt.Errorf("pod %s still exists", old.Name)
		}
		return err
	}))
	must(t, settledMesh(within(t, 2*time.Minute)))
}

// scaledToZero scales galley to 0 by hand: meanwhile the mesh is not Ready, and then it is, with a pod.
func scaledToZero(t *testing.T) {
	ready := readySince(t)
	patch := []byte(`{"spec":{"replicas":0}}`)
	_, err := mesh.Client.AppsV1().Deployments("istio-system").Patch(within(t, 30*time.Second), "istio-galley", types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "somebody"})
	must(t, err)
	must(t, lab.Until(within(t, 2*time.Minute), "it was not Ready meanwhile", func(context.Context) error {
		if !readySince(t).After(ready) {
			return errors.New("Ready did not change")
		}
		return nil
	}))
	must(t, settledMesh(within(t, 2*time.Minute)))
	_, err = mesh.RunningPod(within(t, 30*time.Second), "istio-system", "istio=galley")
	must(t, err)
}

// readySince is when the status of condition Ready changed last.
func readySince(t *testing.T) time.Time {
	t.Helper()
	in, err := mesh.Installation(within(t, 30*time.Second))
	must(t, err)
	conditions, _, _ := unstructured.NestedSlice(in.Object, "status", "conditions")
	for _, c := range conditions {
		if c, ok := c.(map[string]any); ok && c["type"] == "Ready" {
			since, err := time.Parse(time.RFC3339, fmt.Sprint(c["lastTransitionTime"]))
			must(t, err)
			return since
		}
	}
	t.Fatal("there is no condition Ready")
	return time.Time{}
}

// isRestored deletes a Deployment of the mesh and waits for another one of its name.
func isRestored(t *testing.T, name string) {
	t.Helper()
	deployments := mesh.Client.AppsV1().Deployments("istio-system")
	old, err := deployments.Get(within(t, 30*time.Second), name, metav1.GetOptions{})
	must(t, err)
	must(t, deployments.Delete(within(t, 30*time.Second), name, metav1.DeleteOptions{}))
	must(t, lab.Until(within(t, 2*time.Minute), name+" is restored", func(ctx context.Context) error {
		d, err := deployments.Get(ctx, name, metav1.GetOptions{})
		if err == nil && d.UID == old.UID {
			err = fmt.Errorf("the deleted one still exists")
		}
		return err
	}))
}

func addedPortStays(t *testing.T) {
	services := mesh.Client.CoreV1().Services("istio-system")
	service, err := services.Get(within(t, 30*time.Second), "istio-ingressgateway", metav1.GetOptions{})
	must(t, err)
	added := corev1.ServicePort{Name: "http-added", Port: 8066, TargetPort: intstr.FromInt32(8080), NodePort: 30001}
	service.Spec.Ports = append(service.Spec.Ports, added)
	_, err = services.Update(within(t, 30*time.Second), service, metav1.UpdateOptions{FieldManager: "somebody"})
	must(t, err)
	// When the operator has restored another object after this, it has seen the Service too.
	isRestored(t, "istio-egressgateway")
	must(t, mesh.InstallationReady(within(t, 2*time.Minute)))
	after, err := services.Get(within(t, 30*time.Second), "istio-ingressgateway", metav1.GetOptions{})
	must(t, err)
	atEnd(t, 30*time.Second, func(ctx context.Context) error {
		after.Spec.Ports = slices.DeleteFunc(after.Spec.Ports, func(p corev1.ServicePort) bool { return p.Name == added.Name })
		_, err := services.Update(ctx, after, metav1.UpdateOptions{FieldManager: "somebody"})
		return err
	})
	if !slices.ContainsFunc(after.Spec.Ports, func(p corev1.ServicePort) bool { return p.Name == added.Name }) {
		t.Error("the added port was removed")
	}
}
