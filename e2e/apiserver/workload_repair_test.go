package apiserver

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// TestServiceAccountRecreated: the tokens of the running pods belong to the deleted account, so the pods are replaced, and
// only those of that account.
func TestServiceAccountRecreated(t *testing.T) {
	cleanUp(t)
	startOperator(t, noFaults)
	create(t, nil)
	waitReady(t, stepTimeout)
	deployments, accounts := server.Client.AppsV1().Deployments("istio-system"), server.Client.CoreV1().ServiceAccounts("istio-system")
	before, err := deployments.Get(t.Context(), "istio-pilot", metav1.GetOptions{})
	must(t, err)
	citadel, err := deployments.Get(t.Context(), "istio-citadel", metav1.GetOptions{})
	must(t, err)
	must(t, accounts.Delete(timeout(t, 10*time.Second), "istio-pilot-service-account", metav1.DeleteOptions{}))
	must(t, lab.Until(timeout(t, stepTimeout), "pilot's pods are of the new account", func(ctx context.Context) error {
		account, err := accounts.Get(ctx, "istio-pilot-service-account", metav1.GetOptions{})
		if err != nil {
			return err
		}
		now, err := deployments.Get(ctx, "istio-pilot", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if got := now.Spec.Template.Annotations["istio.openshift.com/service-account-uid"]; got != string(account.UID) || now.Generation == before.Generation {
			return fmt.Errorf("annotation %q, account %s", got, account.UID)
		}
		return nil
	}))
	waitReady(t, stepTimeout)
	now, err := deployments.Get(t.Context(), "istio-citadel", metav1.GetOptions{})
	if err != nil || now.Generation != citadel.Generation {
		t.Errorf("citadel's pods were replaced too: %v", err)
	}
	remove(t)
	waitGone(t, stepTimeout)
}

// TestScaledToZero: a component without pods is set back to one, unless an autoscaler or spec decides.
func TestScaledToZero(t *testing.T) {
	cleanUp(t)
	startOperator(t, noFaults)
	create(t, map[string]any{"components": map[string]any{"galley": map[string]any{"replicas": 0}}})
	waitReady(t, stepTimeout)
	deployments := server.Client.AppsV1().Deployments("istio-system")
	zero := func(name string) {
		t.Helper()
		_, err := deployments.Patch(timeout(t, 10*time.Second), name, types.MergePatchType, []byte(`{"spec": {"replicas": 0}}`), metav1.PatchOptions{})
		must(t, err)
	}
	withObjects(t, `
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: user, namespace: istio-system}
spec: {maxReplicas: 2, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: istio-ingressgateway}}
`)
	zero("istio-ingressgateway")
	zero("istio-sidecar-injector")
	must(t, lab.Until(timeout(t, stepTimeout), "the injector has a pod again", func(ctx context.Context) error {
		d, err := deployments.Get(ctx, "istio-sidecar-injector", metav1.GetOptions{})
		if err == nil && *d.Spec.Replicas == 0 {
			err = errors.New("it has none")
		}
		return err
	}))
	waitCondition(t, "Ready", "istio-ingressgateway: its Deployment asks for no pods")
	for _, name := range []string{"istio-galley", "istio-ingressgateway"} {
		d, err := deployments.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil || *d.Spec.Replicas != 0 {
			t.Errorf("%s: %v %v", name, *d.Spec.Replicas, err)
		}
	}
	remove(t)
	waitGone(t, stepTimeout)
}
