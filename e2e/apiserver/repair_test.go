package apiserver

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
	"github.com/mesh-operator/mesh-operator/internal/istiocrd"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// TestTakenMeanwhile has somebody take the name of a later stage's object while an earlier stage is stuck: it is named, and not
// touched.
func TestTakenMeanwhile(t *testing.T) {
	clean(t)
	atEnd(t, server.installOperator)
	operate(t, intact)
	const role, refused = "clusterroles /istio-operator-mesh", `cannot patch resource "deployments"`
	must(t, permit(within(t, 10*time.Second), role, "deployments", "patch", false))
	create(t, nil)
	says(t, "Ready", refused)
	services := server.Client.CoreV1().Services("istio-system")
	theirs, err := services.Create(within(t, 10*time.Second), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "istio-pilot"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 1}}},
	}, metav1.CreateOptions{})
	must(t, err)
	must(t, permit(within(t, 10*time.Second), role, "deployments", "patch", true))
	impatient(t, refused)
	says(t, "NoConflicts", "Service istio-system/istio-pilot exists and is not managed by this operator")
	now, err := services.Get(t.Context(), "istio-pilot", metav1.GetOptions{})
	must(t, err)
	if now.UID != theirs.UID || now.ResourceVersion != theirs.ResourceVersion {
		t.Errorf("theirs was touched: %v", now)
	}
	must(t, services.Delete(within(t, 10*time.Second), "istio-pilot", metav1.DeleteOptions{}))
	ready(t, actLimit)
	remove(t)
	gone(t, actLimit)
}

// namesakes have the names of webhooks that are made only when there is a root of trust.
const namesakes = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: istio-galley}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: istio-sidecar-injector}
`

// TestWebhooksInTheWay names what is in the way of the last stage before the first one is written.
func TestWebhooksInTheWay(t *testing.T) {
	clean(t)
	must(t, server.Apply(within(t, 10*time.Second), "", namesakes))
	o := operate(t, intact)
	up(t, o)
	create(t, nil)
	says(t, "NoConflicts", "ValidatingWebhookConfiguration istio-galley exists and is not managed by this operator")
	says(t, "NoConflicts", "MutatingWebhookConfiguration istio-sidecar-injector exists and is not managed by this operator")
	wroteOnly(t, o, "/installations/")
	must(t, server.Delete(within(t, 10*time.Second), "", namesakes))
	ready(t, actLimit)
	remove(t)
	gone(t, actLimit)
}

// TestRepairBesideAnUnreadyPod: a component that has lost a pod does not keep those that come after it from being repaired, and
// what is no longer wanted from leaving, also by an operator that has just started.
func TestRepairBesideAnUnreadyPod(t *testing.T) {
	clean(t)
	o := operate(t, intact)
	create(t, threeGateways)
	ready(t, actLimit)
	must(t, unready(within(t, actLimit), "pilot"))
	for _, successor := range []bool{false, true} {
		if successor {
			o.end()
			operate(t, intact)
		}
		must(t, meshConfigMaps().Delete(within(t, 10*time.Second), "istio-sidecar-injector", metav1.DeleteOptions{}))
		must(t, lab.Until(within(t, actLimit), "the injector's ConfigMap is back", func(ctx context.Context) error {
			_, err := meshConfigMaps().Get(ctx, "istio-sidecar-injector", metav1.GetOptions{})
			return err
		}))
	}
	change(t, `{"spec": {"gateways": null}}`)
	must(t, lab.Gone(within(t, actLimit), "the gateway that nobody wants", func(ctx context.Context) error {
		_, err := server.Client.AppsV1().Deployments("istio-system").Get(ctx, "third", metav1.GetOptions{})
		return err
	}))
	remove(t)
	gone(t, actLimit)
}

// unready makes the pods of a component unready and waits until its Deployment counts none.
func unready(ctx context.Context, component string) error {
	pods, err := server.Client.CoreV1().Pods("istio-system").List(ctx, metav1.ListOptions{LabelSelector: "istio=" + component})
	if err != nil {
		return err
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		for j := range pod.Status.Conditions {
			if c := &pod.Status.Conditions[j]; c.Type == corev1.PodReady || c.Type == corev1.ContainersReady {
				c.Status = corev1.ConditionFalse
			}
		}
		if _, err := server.Client.CoreV1().Pods("istio-system").UpdateStatus(ctx, pod, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	return lab.Until(ctx, component+" has no ready pod", func(ctx context.Context) error {
		d, err := server.Client.AppsV1().Deployments("istio-system").Get(ctx, "istio-"+component, metav1.GetOptions{})
		if err == nil && d.Status.ReadyReplicas > 0 {
			err = fmt.Errorf("%d are ready", d.Status.ReadyReplicas)
		}
		return err
	})
}

// TestDefinitionOfOthersLeaves: another product takes a definition away that the mesh relies on, and the operator makes its own.
func TestDefinitionOfOthersLeaves(t *testing.T) {
	clean(t)
	must(t, deleteDefinitions(within(t, actLimit))) // those of an earlier mesh may still be on their way out
	atEnd(t, deleteDefinitions)
	const name = "peerauthentications.security.istio.io"
	all, err := istiocrd.CRDs()
	must(t, err)
	for _, definition := range all {
		if definition.GetName() == name {
			definition.SetLabels(nil) // theirs
			must(t, server.ApplyObjects(within(t, 10*time.Second), "", append(all[:0:0], definition)))
		}
	}
	operate(t, intact)
	create(t, nil)
	ready(t, actLimit)
	definitions := server.Dynamic.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	theirs, err := definitions.Get(t.Context(), name, metav1.GetOptions{})
	must(t, err)
	if owner.Owned(theirs.GetLabels()) {
		t.Fatalf("somebody's definition was taken over: %v", theirs.GetLabels())
	}
	must(t, definitions.Delete(within(t, 10*time.Second), name, metav1.DeleteOptions{}))
	policies := server.Dynamic.Resource(schema.GroupVersionResource{Group: "security.istio.io", Version: "v1", Resource: "peerauthentications"})
	must(t, lab.Until(within(t, actLimit), "the mesh's PeerAuthentication is back", func(ctx context.Context) error {
		now, err := definitions.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if now.GetUID() == theirs.GetUID() {
			return errors.New("theirs is still there")
		}
		_, err = policies.Namespace("istio-system").Get(ctx, "default", metav1.GetOptions{})
		return err
	}))
	ready(t, actLimit)
	remove(t)
	gone(t, actLimit)
}

const inventoryPath = "/api/v1/namespaces/istio-operator/configmaps/istio-installation-inventory"

// refuse fails a request until it is told otherwise.
func refuse(request string) Judge {
	return func(_ int, r string) Fault {
		if r == request {
			return Internal
		}
		return None
	}
}

// TestEveryFailureIsTold breaks what comes before and after the stages: status says so, and nothing is told that has not come
// true.
func TestEveryFailureIsTold(t *testing.T) {
	clean(t)
	o := operate(t, intact)
	o.current().Judge(refuse("PATCH " + installationPath))
	create(t, nil)
	says(t, "Ready", "patch finalizer: ")
	o.current().Judge(nil)
	ready(t, actLimit)
	o.end()

	inventories := server.Client.CoreV1().ConfigMaps("istio-operator")
	inventory, err := inventories.Get(t.Context(), "istio-installation-inventory", metav1.GetOptions{})
	must(t, err)
	broken := inventory.DeepCopy()
	broken.Data = map[string]string{"objects": "nonsense"}
	broken, err = inventories.Update(within(t, 10*time.Second), broken, metav1.UpdateOptions{})
	must(t, err)
	o = operate(t, intact)
	says(t, "Ready", "read inventory: parse")
	inventory.ResourceVersion = broken.ResourceVersion
	_, err = inventories.Update(within(t, 10*time.Second), inventory, metav1.UpdateOptions{})
	must(t, err)
	impatient(t, "read inventory")
	ready(t, actLimit)

	o.current().Judge(refuse("DELETE " + inventoryPath))
	remove(t)
	says(t, "Ready", "delete inventory: ")
	o.current().Judge(refuse("PATCH " + installationPath))
	must(t, lab.Until(within(t, actLimit), "the finalizer was refused three times", func(context.Context) error {
		if n := count(o.current().Writes(), "PATCH "+installationPath); n < 3 {
			return fmt.Errorf("%d times", n)
		}
		return nil
	}))
	in, err := server.Installation(t.Context())
	must(t, err)
	if n, err := removed(t.Context(), in.GetUID()); n != 0 || err != nil {
		t.Errorf("told %d times that the mesh is removed while the Installation is there, %v", n, err)
	}
	o.current().Judge(nil)
	gone(t, actLimit)
	must(t, lab.Until(within(t, 20*time.Second), "it is told once that the mesh is removed", func(ctx context.Context) error {
		n, err := removed(ctx, in.GetUID())
		if err == nil && n != 1 {
			err = fmt.Errorf("%d times", n)
		}
		return err
	}))
}

// removed counts how often it was told that the mesh of an Installation is removed.
func removed(ctx context.Context, uid types.UID) (int32, error) {
	fields := metav1.ListOptions{FieldSelector: "reason=Removed,involvedObject.uid=" + string(uid)}
	events, err := server.Client.CoreV1().Events("istio-operator").List(ctx, fields)
	if err != nil {
		return 0, err
	}
	var n int32
	for _, e := range events.Items {
		n += e.Count
	}
	return n, nil
}

// TestRemovalWithoutInventory: an operator that starts in the middle of a removal knows by its access alone that somebody's
// namespace has a mesh in it.
func TestRemovalWithoutInventory(t *testing.T) {
	clean(t)
	atEnd(t, func(ctx context.Context) error { return deleteNamespace(ctx, "istio-system") })
	must(t, server.Apply(within(t, 10*time.Second), "", "{apiVersion: v1, kind: Namespace, metadata: {name: istio-system}}"))
	o := operate(t, intact)
	create(t, nil)
	ready(t, actLimit)
	o.end()
	must(t, server.Client.CoreV1().ConfigMaps("istio-operator").Delete(within(t, 10*time.Second), "istio-installation-inventory", metav1.DeleteOptions{}))
	remove(t)
	operate(t, intact)
	gone(t, actLimit)
	left, err := server.Client.AppsV1().Deployments("istio-system").List(t.Context(), everything)
	must(t, err)
	for _, d := range left.Items {
		t.Errorf("Deployment %s is left", d.Name)
	}
	if _, err := server.Client.RbacV1().RoleBindings("istio-system").Get(t.Context(), "istio-operator", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the operator's access after the removal: %v", err)
	}
}
