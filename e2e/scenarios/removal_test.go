package scenarios

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

const managed = "app.kubernetes.io/managed-by=mesh-operator"

// installOperator applies config/default with the local images, with flags of kubectl apply.
func installOperator(t *testing.T, flags ...string) {
	t.Helper()
	_, err := mesh.Kubectl(within(t, time.Minute), append([]string{"apply", "-k", lab.Operator}, flags...)...)
	must(t, err)
	must(t, mesh.Available(within(t, 3*time.Minute), "istio-operator"))
}

// deleteOperator deletes config/default, again while the API server's cache still has an Installation.
func deleteOperator(ctx context.Context) error {
	return lab.Until(ctx, "the operator is deleted", func(ctx context.Context) error {
		_, err := mesh.Kubectl(ctx, "delete", "--ignore-not-found", "-k", "config/default")
		return err
	})
}

// deleteInstallation deletes the Installation and waits until it is gone.
func deleteInstallation(t *testing.T) {
	t.Helper()
	started := time.Now()
	_, err := mesh.Kubectl(within(t, 3*time.Minute), "delete", "--timeout=170s", "-n", "istio-operator", "installation", "istio-installation")
	must(t, err)
	t.Logf("delete took %.1fs", time.Since(started).Seconds())
}

// meshIsGone waits until no object with our labels is left outside the operator's own namespace and RBAC.
func meshIsGone(t *testing.T) {
	t.Helper()
	must(t, lab.Until(within(t, 2*time.Minute), "no object of the mesh is left", func(ctx context.Context) error {
		for _, kinds := range []string{"all,configmaps,secrets,serviceaccounts,roles,rolebindings", "clusterroles,clusterrolebindings,mutatingwebhookconfigurations,validatingwebhookconfigurations"} {
			text, err := mesh.Kubectl(ctx, "get", kinds, "-A", "-l", managed+",istio.openshift.com/installation=istio-installation", "-o", "name")
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
			err = fmt.Errorf("namespace istio-system still has our label")
		}
		return err
	}))
}

// operatorIsGone checks that nothing of config/default, nor what the operator wrote for itself, is left.
func operatorIsGone(t *testing.T) {
	t.Helper()
	for _, kind := range []string{"namespace/istio-operator", "crd/installations.istio.openshift.com"} {
		if _, err := mesh.Kubectl(within(t, 30*time.Second), "get", kind); err == nil {
			t.Errorf("%s still exists", kind)
		}
	}
	text, err := mesh.Kubectl(within(t, 30*time.Second), "get", "validatingadmissionpolicies,validatingadmissionpolicybindings,clusterroles,clusterrolebindings", "-l", managed, "-o", "name")
	if err != nil || strings.TrimSpace(text) != "" {
		t.Errorf("left: %q, %v", text, err)
	}
}

// istioCRD reports whether an object is a CRD of Istio's, which stays for the users' objects, as documented.
func istioCRD(object string) bool {
	return strings.HasPrefix(object, "customresourcedefinitions") && strings.Contains(object, ".istio.io")
}

// noObject excepts no object from a comparison.
func noObject(string) bool { return false }
