package scenarios

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// TestDrift undoes the operator's work by hand in four ways: three come back, the user's own addition stays.
func TestDrift(t *testing.T) {
	deployments := mesh.Client.AppsV1().Deployments("istio-system")
	t.Run("a deleted Deployment comes back", func(t *testing.T) {
		comesBack(t, "istio-galley")
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
	t.Run("a deleted webhook comes back", func(t *testing.T) {
		webhooks := mesh.Client.AdmissionregistrationV1().MutatingWebhookConfigurations()
		must(t, webhooks.Delete(within(t, 30*time.Second), "istio-sidecar-injector", metav1.DeleteOptions{}))
		must(t, lab.Until(within(t, time.Minute), "the webhook is back with its CA", func(ctx context.Context) error {
			w, err := webhooks.Get(ctx, "istio-sidecar-injector", metav1.GetOptions{})
			if err == nil && len(w.Webhooks[0].ClientConfig.CABundle) == 0 {
				err = fmt.Errorf("no caBundle")
			}
			return err
		}))
	})
	t.Run("a port added by hand stays", portStays)
}

// comesBack deletes a Deployment of the mesh and waits for another one of its name.
func comesBack(t *testing.T, name string) {
	t.Helper()
	deployments := mesh.Client.AppsV1().Deployments("istio-system")
	old, err := deployments.Get(within(t, 30*time.Second), name, metav1.GetOptions{})
	must(t, err)
	must(t, deployments.Delete(within(t, 30*time.Second), name, metav1.DeleteOptions{}))
	must(t, lab.Until(within(t, time.Minute), name+" is back", func(ctx context.Context) error {
		d, err := deployments.Get(ctx, name, metav1.GetOptions{})
		if err == nil && d.UID == old.UID {
			err = fmt.Errorf("it is still there")
		}
		return err
	}))
}

func portStays(t *testing.T) {
	services := mesh.Client.CoreV1().Services("istio-system")
	service, err := services.Get(within(t, 30*time.Second), "istio-ingressgateway", metav1.GetOptions{})
	must(t, err)
	added := corev1.ServicePort{Name: "http-added", Port: 8066, TargetPort: intstr.FromInt32(8080), NodePort: 30001}
	service.Spec.Ports = append(service.Spec.Ports, added)
	_, err = services.Update(within(t, 30*time.Second), service, metav1.UpdateOptions{FieldManager: "somebody"})
	must(t, err)
	// Something the operator must repair right after: when that is done, the port has had its chance to be removed.
	comesBack(t, "istio-egressgateway")
	must(t, mesh.InstallationReady(within(t, 2*time.Minute)))
	after, err := services.Get(within(t, 30*time.Second), "istio-ingressgateway", metav1.GetOptions{})
	must(t, err)
	if !slices.ContainsFunc(after.Spec.Ports, func(p corev1.ServicePort) bool { return p.Name == added.Name }) {
		t.Error("the added port was removed")
	}
}
