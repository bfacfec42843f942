package apiserver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// TestOwnership tells ours from theirs, field by field and object by object.
func TestOwnership(t *testing.T) {
	cleanUp(t)
	o := startOperator(t, noFaults)
	create(t, threeGateways)
	waitReady(t, stepTimeout)
	waitIdle(t, o)
	for _, d := range driftCases {
		t.Run(d.name, func(t *testing.T) { testDrift(t, d.harm, d.keeps) })
	}
	t.Run("NameTaken", func(t *testing.T) { testNameTaken(t, o) })
	t.Run("NotOurs", func(t *testing.T) { testForeignObjects(t, o) })
}

func meshConfigMaps() v1.ConfigMapInterface { return server.Client.CoreV1().ConfigMaps("istio-system") }

// otherManager is another field manager.
var otherManager = metav1.PatchOptions{FieldManager: "someone"}

func patch(kind types.PatchType, text string) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		_, err := meshConfigMaps().Patch(ctx, "istio", kind, []byte(text), otherManager)
		return err
	}
}

// driftCases harm the ConfigMap istio. What was ours before is ours again afterwards; keeps says what else must be as it was left.
var driftCases = []struct {
	name  string
	harm  func(ctx context.Context) error
	keeps func(c *corev1.ConfigMap) error
}{
	{"ValueChanged", patch(types.MergePatchType, `{"data": {"mesh": "theirs"}}`), nil},
	{"ValueTakenByApply", func(ctx context.Context) error {
		force := true
		text := `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio"}, "data": {"mesh": "theirs"}}`
		_, err := meshConfigMaps().Patch(ctx, "istio", types.ApplyPatchType, []byte(text), metav1.PatchOptions{FieldManager: "someone", Force: &force})
		return err
	}, nil},
	{"FieldRemoved", patch(types.JSONPatchType, `[{"op": "remove", "path": "/data/mesh"}]`), nil},
	{"FieldAddedBesideAChange", patch(types.MergePatchType, `{"metadata": {"annotations": {"note": "theirs"}}, "data": {"mesh": "theirs", "extra": "theirs"}}`),
		func(c *corev1.ConfigMap) error {
			if c.Data["extra"] != "theirs" || c.Annotations["note"] != "theirs" || !strings.Contains(fieldsOf(c, "someone"), `"f:extra"`) {
				return fmt.Errorf("the fields of others did not stay: %v %v", c.Data["extra"], c.Annotations)
			}
			return nil
		}},
	{"LabelTaken", patch(types.MergePatchType, `{"metadata": {"labels": {"app.kubernetes.io/managed-by": null}}}`), nil},
	{"OwnershipWiped", patch(types.JSONPatchType, `[{"op": "replace", "path": "/metadata/managedFields", "value": [{}]}]`), nil},
	{"Deleted", func(ctx context.Context) error { return meshConfigMaps().Delete(ctx, "istio", metav1.DeleteOptions{}) }, nil},
	{"DeletedAndHeld", func(ctx context.Context) error {
		return errors.Join(
			patch(types.MergePatchType, `{"metadata": {"finalizers": ["someone/holds"]}}`)(ctx),
			meshConfigMaps().Delete(ctx, "istio", metav1.DeleteOptions{}),
			patch(types.MergePatchType, `{"metadata": {"finalizers": null}}`)(ctx))
	}, nil},
}

// testDrift does harm and waits until it is undone.
func testDrift(t *testing.T, harm func(context.Context) error, keeps func(*corev1.ConfigMap) error) {
	t.Helper()
	before, err := meshConfigMaps().Get(t.Context(), "istio", metav1.GetOptions{})
	must(t, err)
	must(t, harm(timeout(t, 10*time.Second)))
	must(t, lab.Until(timeout(t, 30*time.Second), "the ConfigMap is as before", func(ctx context.Context) error {
		now, err := meshConfigMaps().Get(ctx, "istio", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if now.DeletionTimestamp != nil {
			return errors.New("it is being deleted")
		}
		if diff := cmp.Diff([]string{before.Data["mesh"], fieldsOf(before, apply.FieldManager)}, []string{now.Data["mesh"], fieldsOf(now, apply.FieldManager)}); diff != "" {
			return errors.New(diff)
		}
		if !owner.Owned(now.Labels) {
			return fmt.Errorf("labels %v", now.Labels)
		}
		if keeps != nil {
			return keeps(now)
		}
		return nil
	}))
}

// fieldsOf returns the fields that manager owns.
func fieldsOf(c *corev1.ConfigMap, manager string) string {
	var all []string
	for _, entry := range c.ManagedFields {
		if entry.Manager == manager && entry.FieldsV1 != nil {
			all = append(all, fmt.Sprintf("%s %s", entry.Operation, entry.FieldsV1.GetRawString()))
		}
	}
	return strings.Join(all, "\n")
}

// testNameTaken has somebody else take the name of an object of ours between two looks of the operator: it is named, not touched,
// and ours comes back when theirs has gone.
func testNameTaken(t *testing.T, o *operator) {
	waits, release := o.current().HoldReads(installationPath)
	defer release()
	change(t, `{"metadata": {"annotations": {"looked-at": "now"}}}`)
	select {
	case <-waits: // at the beginning of a look
	case <-timeout(t, stepTimeout).Done():
		t.Fatal("the operator does not look")
	}
	must(t, meshConfigMaps().Delete(timeout(t, 10*time.Second), "istio", metav1.DeleteOptions{}))
	theirs, err := meshConfigMaps().Create(timeout(t, 10*time.Second), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "istio"}, Data: map[string]string{"mesh": "theirs"},
	}, metav1.CreateOptions{})
	must(t, err)
	release()
	waitCondition(t, "NoConflicts", "ConfigMap istio-system/istio exists and is not managed by this operator; remove or rename it")
	now, err := meshConfigMaps().Get(t.Context(), "istio", metav1.GetOptions{})
	must(t, err)
	if now.UID != theirs.UID || now.ResourceVersion != theirs.ResourceVersion {
		t.Errorf("theirs was touched: %v", now)
	}
	must(t, meshConfigMaps().Delete(timeout(t, 10*time.Second), "istio", metav1.DeleteOptions{}))
	must(t, lab.Until(timeout(t, stepTimeout), "ours is back", func(ctx context.Context) error {
		now, err := meshConfigMaps().Get(ctx, "istio", metav1.GetOptions{})
		if err == nil && !owner.Owned(now.Labels) {
			err = errors.New("it is theirs")
		}
		return err
	}))
	waitReady(t, stepTimeout)
}

// testForeignObjects recreates two objects of a gateway while no operator runs: one as somebody's own, one as a copy of ours. Neither is
// what was applied, so the gateway leaves without them.
func testForeignObjects(t *testing.T, o *operator) {
	atEnd(t, func(ctx context.Context) error { return deleteNamespace(ctx, "istio-system") })
	o.end()
	deployments, services := server.Client.AppsV1().Deployments("istio-system"), server.Client.CoreV1().Services("istio-system")
	deployment, err := deployments.Get(t.Context(), "third", metav1.GetOptions{})
	must(t, err)
	service, err := services.Get(t.Context(), "third", metav1.GetOptions{})
	must(t, err)
	must(t, deployments.Delete(t.Context(), "third", metav1.DeleteOptions{}))
	must(t, services.Delete(t.Context(), "third", metav1.DeleteOptions{}))
	theirs := map[string]string{"app": "theirs"}
	deployment.ObjectMeta = metav1.ObjectMeta{Name: "third", Labels: theirs}
	deployment.Spec.Selector, deployment.Spec.Template.Labels = &metav1.LabelSelector{MatchLabels: theirs}, theirs
	service.ObjectMeta = metav1.ObjectMeta{Name: "third", Labels: service.Labels}
	service.Spec.ClusterIP, service.Spec.ClusterIPs = "", nil
	deployment, err = deployments.Create(t.Context(), deployment, metav1.CreateOptions{})
	must(t, err)
	service, err = services.Create(t.Context(), service, metav1.CreateOptions{})
	must(t, err)
	change(t, `{"spec": {"gateways": null}}`)

	startOperator(t, noFaults)
	waitReady(t, stepTimeout)
	must(t, lab.Gone(timeout(t, 30*time.Second), "what is ours of the gateway", func(ctx context.Context) error {
		_, err := server.Client.CoreV1().ServiceAccounts("istio-system").Get(ctx, "third-service-account", metav1.GetOptions{})
		return err
	}))
	inventory, err := server.Client.CoreV1().ConfigMaps("istio-operator").Get(t.Context(), "istio-installation-inventory", metav1.GetOptions{})
	must(t, err)
	if strings.Contains(inventory.Data["objects"], "third") {
		t.Errorf("the inventory still lists the gateway:\n%s", inventory.Data["objects"])
	}
	stillThere, err := services.Get(t.Context(), "third", metav1.GetOptions{})
	if err != nil || stillThere.UID != service.UID || stillThere.DeletionTimestamp != nil {
		t.Errorf("the copied Service: %v %v", stillThere, err)
	}
	remove(t)
	waitGone(t, stepTimeout)
	kept, err := deployments.Get(t.Context(), "third", metav1.GetOptions{})
	if err != nil || kept.UID != deployment.UID || kept.DeletionTimestamp != nil {
		t.Errorf("somebody's Deployment after the removal: %v %v", kept, err)
	}
}

// waitCondition waits until a condition of the Installation is false and says this.
func waitCondition(t *testing.T, condition, words string) {
	t.Helper()
	must(t, lab.Until(timeout(t, stepTimeout), "status says "+words, func(ctx context.Context) error {
		in, err := server.Installation(ctx)
		if err != nil {
			return err
		}
		if status, reason := lab.Condition(in, condition); status != "False" || !strings.Contains(reason, words) {
			return fmt.Errorf("condition %s is %q: %s", condition, status, reason)
		}
		return nil
	}))
}
