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

// TestConflictInALaterStage has somebody take the name of a later stage's object while an earlier stage is stuck: it is named, and not
// touched.
func TestConflictInALaterStage(t *testing.T) {
	cleanUp(t)
	atEnd(t, server.installOperator)
	startOperator(t, noFaults)
	const role, refused = "clusterroles /istio-operator-mesh", `cannot patch resource "deployments"`
	must(t, setVerbs(timeout(t, 10*time.Second), role, "deployments", "patch", false))
	create(t, nil)
	waitCondition(t, "Ready", refused)
	services := server.Client.CoreV1().Services("istio-system")
	theirs, err := services.Create(timeout(t, 10*time.Second), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "istio-pilot"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 1}}},
	}, metav1.CreateOptions{})
	must(t, err)
	must(t, setVerbs(timeout(t, 10*time.Second), role, "deployments", "patch", true))
	retryUntilNot(t, refused)
	waitCondition(t, "NoConflicts", "Service istio-system/istio-pilot exists and is not managed by this operator")
	now, err := services.Get(t.Context(), "istio-pilot", metav1.GetOptions{})
	must(t, err)
	if now.UID != theirs.UID || now.ResourceVersion != theirs.ResourceVersion {
		t.Errorf("theirs was touched: %v", now)
	}
	must(t, services.Delete(timeout(t, 10*time.Second), "istio-pilot", metav1.DeleteOptions{}))
	waitReady(t, stepTimeout)
	remove(t)
	waitGone(t, stepTimeout)
}

// conflictingWebhooks have the names of webhooks that are made only when there is a root of trust.
const conflictingWebhooks = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: istio-galley}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: istio-sidecar-injector}
`

// TestForeignWebhooksAreConflicts names what is in the way of the last stage before the first one is written.
func TestForeignWebhooksAreConflicts(t *testing.T) {
	cleanUp(t)
	must(t, server.Apply(timeout(t, 10*time.Second), "", conflictingWebhooks))
	o := startOperator(t, noFaults)
	waitPolicies(t, o)
	create(t, nil)
	waitCondition(t, "NoConflicts", "ValidatingWebhookConfiguration istio-galley exists and is not managed by this operator")
	waitCondition(t, "NoConflicts", "MutatingWebhookConfiguration istio-sidecar-injector exists and is not managed by this operator")
	wroteOnly(t, o, "/installations/")
	must(t, server.Delete(timeout(t, 10*time.Second), "", conflictingWebhooks))
	waitReady(t, stepTimeout)
	remove(t)
	waitGone(t, stepTimeout)
}

// TestRepairWhileAPodIsUnready: a component that has lost a pod does not keep those that come after it from being repaired, and
// what is no longer wanted from leaving, also by an operator that has just started.
func TestRepairWhileAPodIsUnready(t *testing.T) {
	cleanUp(t)
	o := startOperator(t, noFaults)
	create(t, threeGateways)
	waitReady(t, stepTimeout)
	must(t, makeUnready(timeout(t, stepTimeout), "pilot"))
	for _, successor := range []bool{false, true} {
		if successor {
			o.end()
			startOperator(t, noFaults)
		}
		must(t, meshConfigMaps().Delete(timeout(t, 10*time.Second), "istio-sidecar-injector", metav1.DeleteOptions{}))
		must(t, lab.Until(timeout(t, stepTimeout), "the injector's ConfigMap is back", func(ctx context.Context) error {
			_, err := meshConfigMaps().Get(ctx, "istio-sidecar-injector", metav1.GetOptions{})
			return err
		}))
	}
	change(t, `{"spec": {"gateways": null}}`)
	must(t, lab.Gone(timeout(t, stepTimeout), "the gateway that nobody wants", func(ctx context.Context) error {
		_, err := server.Client.AppsV1().Deployments("istio-system").Get(ctx, "third", metav1.GetOptions{})
		return err
	}))
	remove(t)
	waitGone(t, stepTimeout)
}

// makeUnready makes the pods of a component unready and waits until its Deployment counts none.
func makeUnready(ctx context.Context, component string) error {
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

// TestForeignDefinitionDeleted: another product takes a definition away that the mesh relies on, and the operator makes its own.
func TestForeignDefinitionDeleted(t *testing.T) {
	cleanUp(t)
	must(t, deleteDefinitions(timeout(t, stepTimeout))) // those of an earlier mesh may still be on their way out
	atEnd(t, deleteDefinitions)
	const name = "peerauthentications.security.istio.io"
	all, err := istiocrd.CRDs()
	must(t, err)
	for _, definition := range all {
		if definition.GetName() == name {
			definition.SetLabels(nil) // theirs
			must(t, server.ApplyObjects(timeout(t, 10*time.Second), "", append(all[:0:0], definition)))
		}
	}
	startOperator(t, noFaults)
	create(t, nil)
	waitReady(t, stepTimeout)
	definitions := server.Dynamic.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	theirs, err := definitions.Get(t.Context(), name, metav1.GetOptions{})
	must(t, err)
	if owner.Owned(theirs.GetLabels()) {
		t.Fatalf("somebody's definition was taken over: %v", theirs.GetLabels())
	}
	must(t, definitions.Delete(timeout(t, 10*time.Second), name, metav1.DeleteOptions{}))
	policies := server.Dynamic.Resource(schema.GroupVersionResource{Group: "security.istio.io", Version: "v1", Resource: "peerauthentications"})
	must(t, lab.Until(timeout(t, stepTimeout), "the mesh's PeerAuthentication is back", func(ctx context.Context) error {
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
	waitReady(t, stepTimeout)
	remove(t)
	waitGone(t, stepTimeout)
}

const inventoryPath = "/api/v1/namespaces/istio-operator/configmaps/istio-installation-inventory"

// failRequest fails each request of this method and path.
func failRequest(request string) FaultFunc {
	return func(_ int, r string) Fault {
		if r == request {
			return Internal
		}
		return None
	}
}

// TestFailuresAreReported breaks what comes before and after the stages: status says so, and no Event reports what has not
// happened.
func TestFailuresAreReported(t *testing.T) {
	cleanUp(t)
	o := startOperator(t, noFaults)
	o.current().FaultFunc(failRequest("PATCH " + installationPath))
	create(t, nil)
	waitCondition(t, "Ready", "patch finalizer: ")
	o.current().FaultFunc(nil)
	waitReady(t, stepTimeout)
	o.end()

	inventories := server.Client.CoreV1().ConfigMaps("istio-operator")
	inventory, err := inventories.Get(t.Context(), "istio-installation-inventory", metav1.GetOptions{})
	must(t, err)
	broken := inventory.DeepCopy()
	broken.Data = map[string]string{"objects": "nonsense"}
	broken, err = inventories.Update(timeout(t, 10*time.Second), broken, metav1.UpdateOptions{})
	must(t, err)
	o = startOperator(t, noFaults)
	waitCondition(t, "Ready", "read inventory: parse")
	inventory.ResourceVersion = broken.ResourceVersion
	_, err = inventories.Update(timeout(t, 10*time.Second), inventory, metav1.UpdateOptions{})
	must(t, err)
	retryUntilNot(t, "read inventory")
	waitReady(t, stepTimeout)

	o.current().FaultFunc(failRequest("DELETE " + inventoryPath))
	remove(t)
	waitCondition(t, "Ready", "delete inventory: ")
	o.current().FaultFunc(failRequest("PATCH " + installationPath))
	must(t, lab.Until(timeout(t, stepTimeout), "the finalizer was refused three times", func(context.Context) error {
		if n := count(o.current().Writes(), "PATCH "+installationPath); n < 3 {
			return fmt.Errorf("%d times", n)
		}
		return nil
	}))
	in, err := server.Installation(t.Context())
	must(t, err)
	if n, err := countRemovedEvents(t.Context(), in.GetUID()); n != 0 || err != nil {
		t.Errorf("told %d times that the mesh is removed while the Installation is there, %v", n, err)
	}
	o.current().FaultFunc(nil)
	waitGone(t, stepTimeout)
	must(t, lab.Until(timeout(t, 20*time.Second), "it is told once that the mesh is removed", func(ctx context.Context) error {
		n, err := countRemovedEvents(ctx, in.GetUID())
		if err == nil && n != 1 {
			err = fmt.Errorf("%d times", n)
		}
		return err
	}))
}

// countRemovedEvents counts the Events that report the removal of the mesh of an Installation.
func countRemovedEvents(ctx context.Context, uid types.UID) (int32, error) {
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
	cleanUp(t)
	atEnd(t, func(ctx context.Context) error { return deleteNamespace(ctx, "istio-system") })
	must(t, server.Apply(timeout(t, 10*time.Second), "", "{apiVersion: v1, kind: Namespace, metadata: {name: istio-system}}"))
	o := startOperator(t, noFaults)
	create(t, nil)
	waitReady(t, stepTimeout)
	o.end()
	must(t, server.Client.CoreV1().ConfigMaps("istio-operator").Delete(timeout(t, 10*time.Second), "istio-installation-inventory", metav1.DeleteOptions{}))
	remove(t)
	startOperator(t, noFaults)
	waitGone(t, stepTimeout)
	left, err := server.Client.AppsV1().Deployments("istio-system").List(t.Context(), everything)
	must(t, err)
	for _, d := range left.Items {
		t.Errorf("Deployment %s is left", d.Name)
	}
	if _, err := server.Client.RbacV1().RoleBindings("istio-system").Get(t.Context(), "istio-operator", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the operator's access after the removal: %v", err)
	}
}
