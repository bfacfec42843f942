package apiserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
	"github.com/mesh-operator/mesh-operator/controllers/installation/rbac"
	"github.com/mesh-operator/mesh-operator/e2e/lab"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// withThrowaway is the catalog with a component that has a StatefulSet with a volume and a DaemonSet, as CONTRIBUTING.md says
// to add one.
func withThrowaway() desired.Catalog {
	return append(desired.Components(), desired.Row{
		Name: "throwaway", Workload: "throwaway", WorkloadKind: "StatefulSet", Chart: "throwaway",
		Charts: os.DirFS(filepath.Join(server.Root, "controllers/installation/desired/testdata/charts")),
		Stage:  desired.StageAddons, Image: "throwaway",
		Enabled: func(spec *v1alpha1.InstallationSpec) bool { return spec.Launcher != nil },
		Values:  func(desired.Input) (map[string]any, error) { return map[string]any{"port": 80}, nil },
	})
}

// withPermissions gives the operator the permissions that make generate writes for a catalog, for the time of a test.
func withPermissions(t *testing.T, catalog desired.Catalog) {
	t.Helper()
	files, err := rbac.Files(catalog)
	must(t, err)
	must(t, server.Apply(timeout(t, 30*time.Second), "", string(files["mesh.yaml"])))
	atEnd(t, func(ctx context.Context) error { return server.ApplyFile(ctx, "", "config/rbac/mesh.yaml") })
}

// TestAddedComponent installs, repairs, prunes and removes a component that only a chart and a row describe. Its volume stays
// with the namespace, and is used again, unless spec.uninstall.data says otherwise.
func TestAddedComponent(t *testing.T) {
	cleanUp(t)
	atEnd(t, func(ctx context.Context) error { return deleteNamespace(ctx, "istio-system") })
	withPermissions(t, withThrowaway())
	startOperatorWith(t, noFaults, withThrowaway())
	create(t, map[string]any{"launcher": map[string]any{}})
	waitReady(t, stepTimeout)
	state, found := componentState(t, "throwaway")
	if !found || state != "Ready" {
		t.Errorf("status of the component: %q", state)
	}
	sets := server.Client.AppsV1().StatefulSets("istio-system")
	daemons := server.Client.AppsV1().DaemonSets("istio-system")
	must(t, daemons.Delete(timeout(t, 10*time.Second), "throwaway-node", metav1.DeleteOptions{}))
	must(t, lab.Until(timeout(t, stepTimeout), "the DaemonSet is restored", func(ctx context.Context) error {
		_, err := daemons.Get(ctx, "throwaway-node", metav1.GetOptions{})
		return err
	}))
	testGeneratedSecret(t)
	change(t, `{"spec": {"launcher": null}}`)
	must(t, lab.Gone(timeout(t, stepTimeout), "the Secret that spec no longer enables", func(ctx context.Context) error {
		_, err := server.Client.CoreV1().Secrets("istio-system").Get(ctx, "throwaway", metav1.GetOptions{})
		return err
	}))
	must(t, lab.Gone(timeout(t, stepTimeout), "the StatefulSet that spec no longer enables", func(ctx context.Context) error {
		_, err := sets.Get(ctx, "throwaway", metav1.GetOptions{})
		return err
	}))
	claim := volumeClaim(t, true)
	change(t, `{"spec": {"launcher": {}}}`)
	waitReady(t, stepTimeout)
	remove(t)
	waitGone(t, stepTimeout)
	if kept := volumeClaim(t, false); kept != claim {
		t.Errorf("the volume claim after the removal is %s, want %s", kept, claim)
	}
	create(t, map[string]any{"launcher": map[string]any{}, "uninstall": map[string]any{"data": "Delete"}})
	waitReady(t, stepTimeout)
	if again := volumeClaim(t, true); again != claim {
		t.Errorf("the volume claim after another install is %s, want %s", again, claim)
	}
	remove(t)
	waitGone(t, stepTimeout)
	must(t, lab.Gone(timeout(t, stepTimeout), "the mesh's namespace with its data", func(ctx context.Context) error {
		_, err := server.Client.CoreV1().Namespaces().Get(ctx, "istio-system", metav1.GetOptions{})
		return err
	}))
}

// testGeneratedSecret: a generated Secret keeps its value when spec changes and when its labels are lost, and is made again with
// another value, for new pods, when it was deleted.
func testGeneratedSecret(t *testing.T) {
	t.Helper()
	secrets := server.Client.CoreV1().Secrets("istio-system")
	first, err := secrets.Get(timeout(t, 10*time.Second), "throwaway", metav1.GetOptions{})
	must(t, err)
	if len(first.Data["password"]) < 20 || string(first.Data["username"]) != "admin" {
		t.Fatalf("keys of the Secret: %d bytes of password, user name %q", len(first.Data["password"]), first.Data["username"])
	}
	change(t, `{"spec": {"launcher": {"catalog": {"branch": "b"}}}}`)
	waitReady(t, stepTimeout)
	_, err = secrets.Patch(timeout(t, 10*time.Second), "throwaway", types.MergePatchType, []byte(`{"metadata":{"labels":null}}`), metav1.PatchOptions{})
	must(t, err)
	must(t, lab.Until(timeout(t, stepTimeout), "the Secret's labels are restored", func(ctx context.Context) error {
		now, err := secrets.Get(ctx, "throwaway", metav1.GetOptions{})
		if err == nil && !owner.Owned(now.Labels) {
			err = errors.New("they are not")
		}
		if err == nil && (now.UID != first.UID || string(now.Data["password"]) != string(first.Data["password"])) {
			t.Fatal("the Secret has another value")
		}
		return err
	}))
	must(t, secrets.Delete(timeout(t, 10*time.Second), "throwaway", metav1.DeleteOptions{}))
	must(t, lab.Until(timeout(t, stepTimeout), "the Secret is made again, and its readers are replaced", func(ctx context.Context) error {
		now, err := secrets.Get(ctx, "throwaway", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if string(now.Data["password"]) == string(first.Data["password"]) || len(now.Data["password"]) < 20 {
			t.Fatal("the new Secret has the old value, or none")
		}
		set, err := server.Client.AppsV1().StatefulSets("istio-system").Get(ctx, "throwaway", metav1.GetOptions{})
		if err == nil && set.Spec.Template.Annotations["istio.openshift.com/credentials"] != string(now.UID) {
			err = errors.New("the pods have the old one")
		}
		return err
	}))
}

// volumeClaim waits until the component's claim is or is not ours, and returns its UID.
func volumeClaim(t *testing.T, ours bool) string {
	t.Helper()
	uid := ""
	must(t, lab.Until(timeout(t, stepTimeout), fmt.Sprintf("the volume claim is ours: %t", ours), func(ctx context.Context) error {
		claim, err := server.Client.CoreV1().PersistentVolumeClaims("istio-system").Get(ctx, "data-throwaway-0", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if owner.Owned(claim.Labels) != ours || claim.DeletionTimestamp != nil {
			return errors.New("it is not")
		}
		uid = string(claim.UID)
		return nil
	}))
	return uid
}

// componentState returns the state of a component in status.
func componentState(t *testing.T, name string) (string, bool) {
	t.Helper()
	in, err := server.Installation(t.Context())
	must(t, err)
	components, _, _ := unstructured.NestedSlice(in.Object, "status", "components")
	for _, c := range components {
		if component, ok := c.(map[string]any); ok && component["name"] == name {
			return fmt.Sprint(component["state"]), true
		}
	}
	return "", false
}
