// Package scenarios is the proof: each file is one story on a real Kubernetes node with real Envoys, told in order. The
// first installs the mesh from the full resource, the following use it, the last remove it: `make test-scenarios` boots the
// cluster they run on. The demo, and the removal from every state a mesh can be in, begin on an empty cluster: `make test-removal`.
package scenarios

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// mesh is the cluster that all scenarios share.
var mesh *lab.Lab

func TestMain(m *testing.M) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	name := os.Getenv("MESH_CLUSTER")
	if name == "" {
		fmt.Fprintln(os.Stderr, "the scenarios need a local cluster: run them with make test-scenarios")
		os.Exit(1)
	}
	var err error
	if mesh, err = lab.Open(ctx, name); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// within returns a context that bounds one step of a scenario.
func within(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// must ends the scenario on an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// apply applies YAML and takes it back at the scenario's end.
func apply(t *testing.T, namespace, text string) {
	t.Helper()
	must(t, mesh.Apply(within(t, 30*time.Second), namespace, text))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := mesh.Delete(ctx, namespace, text); err != nil {
			t.Error(err)
		}
	})
}

// applyFile applies a file of the repository and takes it back at the scenario's end.
func applyFile(t *testing.T, namespace, path string) {
	t.Helper()
	text, err := os.ReadFile("../../" + path)
	must(t, err)
	apply(t, namespace, string(text))
}

// namespace makes a namespace that pods can be made in, and deletes it at the scenario's end.
func namespace(t *testing.T, name string, labels map[string]string) {
	t.Helper()
	must(t, mesh.EnsureNamespace(within(t, 30*time.Second), name, labels))
	must(t, lab.Until(within(t, time.Minute), "pods can be made in "+name, func(ctx context.Context) error {
		_, err := mesh.Client.CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{})
		return err
	}))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := mesh.DeleteNamespace(ctx, name); err != nil {
			t.Error(err)
		}
	})
}

// injected are the labels of a namespace whose pods get a sidecar.
var injected = map[string]string{"istio-injection": "enabled"}
