package scenarios

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// leftToSidecars goes on where TestRemoval ended: pods run a sidecar, and the root of trust stays for
// them. A mesh that is installed again is theirs; when they are gone, its removal takes the root along, and the namespace
// that the first installation made.
func leftToSidecars(t *testing.T) {
	ctx := within(t, 30*time.Second)
	secret, err := mesh.Client.CoreV1().Secrets("istio-system").Get(ctx, "istio-ca-secret", metav1.GetOptions{})
	must(t, err)
	if len(secret.Labels) > 0 {
		t.Errorf("the root that stays has labels: %v", secret.Labels)
	}
	before, err := mesh.Client.CoreV1().Pods(bookinfo).List(ctx, metav1.ListOptions{})
	must(t, err)

	must(t, mesh.ApplyFile(within(t, 30*time.Second), "istio-operator", "config/samples/istio-installation.yaml"))
	must(t, mesh.InstallationReady(within(t, 4*time.Minute)))
	if again := fingerprint(t); again != root {
		t.Errorf("the root is %s, and was %s", again, root)
	}
	eventually(t, "the page opens through the old pods", 200, func(ctx context.Context) (lab.Reply, error) { return page(ctx, t, "/productpage", nil) })
	for _, pod := range before.Items {
		now, err := mesh.Client.CoreV1().Pods(bookinfo).Get(within(t, 30*time.Second), pod.Name, metav1.GetOptions{})
		if err != nil || now.UID != pod.UID {
			t.Errorf("pod %s did not live through it: %v", pod.Name, err)
		}
	}
	dataPlaneSettled(t) // all of them have found their new control plane

	endSidecars(t)
	deleteInstallation(t)
	must(t, nothingOfOurs(t))
	_, err = mesh.Client.CoreV1().Namespaces().Get(within(t, 30*time.Second), "istio-system", metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("namespace istio-system, which the operator made, is still there: %v", err)
	}
}

// saidAboutSidecars reads what was said while the mesh was removed and afterwards: how many, which and what to do.
func saidAboutSidecars(t *testing.T) {
	t.Helper()
	for _, reason := range []string{"ReadyRemoving", "SidecarsRunning"} {
		text, err := mesh.Kubectl(within(t, 30*time.Second), "get", "events", "-n", "istio-operator", "--field-selector", "reason="+reason, "-o", "jsonpath={.items[*].message}")
		if err != nil || !strings.Contains(text, "pods still run a sidecar: "+bookinfo+"/") || !strings.Contains(text, "kubectl rollout restart") {
			t.Errorf("Event %s about running sidecars: %q, %v", reason, text, err)
		}
		if next := "kubectl delete secret -n istio-system istio-ca-secret"; reason == "SidecarsRunning" && !strings.Contains(text, next) {
			t.Errorf("Event %s does not say %s: %q", reason, next, text)
		}
	}
}

// fingerprint is that of the root of trust in the Installation's status.
func fingerprint(t *testing.T) string {
	t.Helper()
	in, err := mesh.Installation(within(t, 30*time.Second))
	must(t, err)
	certificates, _, _ := unstructured.NestedSlice(in.Object, "status", "certificates")
	if len(certificates) != 1 {
		t.Fatalf("status.certificates has %d roots", len(certificates))
	}
	root, _ := certificates[0].(map[string]any)
	text, _ := root["fingerprint"].(string)
	return text
}

// endSidecars ends all pods with a sidecar.
func endSidecars(t *testing.T) {
	t.Helper()
	_, err := mesh.Kubectl(within(t, time.Minute), "scale", "deployment", "-n", bookinfo, "--all", "--replicas=0")
	must(t, err)
	must(t, lab.Until(within(t, 2*time.Minute), "no pod has a sidecar", func(ctx context.Context) error {
		pods, err := mesh.Client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, p := range pods.Items {
			if p.Annotations["sidecar.istio.io/status"] != "" {
				return fmt.Errorf("%s/%s runs", p.Namespace, p.Name)
			}
		}
		return nil
	}))
}
