package scenarios

import (
	"context"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// edit merges a patch into the Installation, waits until the mesh has followed, and restores the sample at the end of t.
func edit(t *testing.T, patch string) {
	t.Helper()
	restoreAtEnd(t)
	patchInstallation(t, patch)
	must(t, settledMesh(within(t, 4*time.Minute)))
}

// restore restores the sample Installation now.
func restore(t *testing.T) {
	t.Helper()
	must(t, restoreSample(within(t, 4*time.Minute)))
}

// patchInstallation merges a patch into the Installation and returns what was stored.
func patchInstallation(t *testing.T, patch string) *unstructured.Unstructured {
	t.Helper()
	in, err := mesh.Dynamic.Resource(lab.InstallationResource).Namespace("istio-operator").Patch(within(t, 30*time.Second),
		"istio-installation", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	must(t, err)
	return in
}

// restart replaces the pods of a Deployment and waits until only new ones run.
func restart(t *testing.T, namespace, deployment string) {
	t.Helper()
	_, err := mesh.Kubectl(within(t, 30*time.Second), "rollout", "restart", "-n", namespace, "deployment/"+deployment)
	must(t, err)
	_, err = mesh.Kubectl(within(t, 3*time.Minute), "rollout", "status", "-n", namespace, "deployment/"+deployment)
	must(t, err)
}

// snapshot lists every object of the API, as lab.Snapshot names them, once no namespace is being deleted.
func snapshot(t *testing.T) []string {
	t.Helper()
	must(t, lab.Until(within(t, 3*time.Minute), "no namespace is being deleted", func(ctx context.Context) error {
		namespaces, err := mesh.Client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, ns := range namespaces.Items {
			if ns.DeletionTimestamp != nil {
				return fmt.Errorf("namespace %s is being deleted", ns.Name)
			}
		}
		return nil
	}))
	out, err := mesh.Snapshot(within(t, time.Minute))
	must(t, err)
	return out
}
