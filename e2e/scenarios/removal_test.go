package scenarios

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

const removal = "app.kubernetes.io/managed-by=mesh-operator"

// root is the fingerprint of the root of trust that the first installation had.
var root string

// TestRemoval deletes the resource with sidecars running: nothing of ours is left, everything of the users is.
func TestRemoval(t *testing.T) {
	root = fingerprint(t)
	keep := `
apiVersion: v1
kind: ConfigMap
metadata: {name: users-own}
data: {a: b}
`
	must(t, mesh.Apply(within(t, 30*time.Second), "istio-system", keep))
	deleteInstallation(t)
	must(t, nothingOfOurs(t))
	saidAboutSidecars(t)

	_, err := mesh.Client.CoreV1().ConfigMaps("istio-system").Get(within(t, 30*time.Second), "users-own", metav1.GetOptions{})
	if err != nil {
		t.Errorf("the user's ConfigMap in istio-system: %v", err)
	}
	text, err := mesh.Kubectl(within(t, 30*time.Second), "get", "virtualservices", "-n", bookinfo, "-o", "name")
	if err != nil || !strings.Contains(text, "bookinfo") {
		t.Errorf("the user's VirtualServices: %q, %v", text, err)
	}
	must(t, mesh.Client.CoreV1().ConfigMaps("istio-system").Delete(within(t, 30*time.Second), "users-own", metav1.DeleteOptions{}))
}

// TestMeshReturns installs the mesh again that TestRemoval removed, for the sidecars it left.
func TestMeshReturns(t *testing.T) { leftToSidecars(t) }

// TestPermissionsUsed asks the audit log of the whole run.
func TestPermissionsUsed(t *testing.T) { usedPermissions(t) }

// TestRemoveOperator is the last thing an admin does.
func TestRemoveOperator(t *testing.T) {
	_, err := mesh.Kubectl(within(t, 2*time.Minute), "delete", "-k", "config/default")
	must(t, err)
	for _, kind := range []string{"namespace/istio-operator", "crd/installations.istio.openshift.com"} {
		if _, err := mesh.Kubectl(within(t, 30*time.Second), "get", kind); err == nil {
			t.Errorf("%s is still there", kind)
		}
	}
	text, err := mesh.Kubectl(within(t, 30*time.Second), "get", "validatingadmissionpolicies,validatingadmissionpolicybindings,clusterroles,clusterrolebindings", "-l", removal, "-o", "name")
	if err != nil || strings.TrimSpace(text) != "" {
		t.Errorf("left behind: %q, %v", text, err)
	}
}

// TestNothingLeft compares the whole API with what it was before the first scenario: what is new belongs to users.
func TestNothingLeft(t *testing.T) {
	users := []string{bookinfo + "/", outside + "/", " /" + bookinfo, " /" + outside, " /annotated", "annotated/", " /manual", "manual/"}
	err := lab.Changes(before, snapshot(t), func(object string) bool {
		return definition(object) || slices.ContainsFunc(users, func(mark string) bool { return strings.Contains(object, mark) })
	})
	if err != nil {
		t.Error(err)
	}
}

// definition tells whether an object is a definition of Istio's, which is kept for the users' rules, as documented.
func definition(object string) bool {
	return strings.HasPrefix(object, "customresourcedefinitions") && strings.Contains(object, ".istio.io")
}

// nothing excepts no object from a comparison.
func nothing(string) bool { return false }

func deleteInstallation(t *testing.T) {
	t.Helper()
	started := time.Now()
	_, err := mesh.Kubectl(within(t, 3*time.Minute), "delete", "--timeout=170s", "-n", "istio-operator", "installation", "istio-installation")
	must(t, err)
	t.Logf("delete took %.1fs", time.Since(started).Seconds())
}

// nothingOfOurs waits until no object with our label is left outside the operator's own namespace and RBAC.
func nothingOfOurs(t *testing.T) error {
	return lab.Until(within(t, 2*time.Minute), "nothing of ours is left", func(ctx context.Context) error {
		for _, kinds := range []string{"all,configmaps,secrets,serviceaccounts,roles,rolebindings", "clusterroles,clusterrolebindings,mutatingwebhookconfigurations,validatingwebhookconfigurations"} {
			text, err := mesh.Kubectl(ctx, "get", kinds, "-A", "-l", removal+",istio.openshift.com/installation=istio-installation", "-o", "name")
			if err != nil {
				return err
			}
			if text = strings.TrimSpace(text); text != "" {
				return fmt.Errorf("left: %s", strings.ReplaceAll(text, "\n", " "))
			}
		}
		ns, err := mesh.Client.CoreV1().Namespaces().Get(ctx, "istio-system", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err == nil && ns.Labels["app.kubernetes.io/managed-by"] != "" {
			err = fmt.Errorf("namespace istio-system is still ours")
		}
		return err
	})
}
