package apiserver

import (
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mesh-operator/mesh-operator/controllers/installation/packaging"
	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// TestInstallFileIsTheKustomization: the one file holds what kubectl apply -k applies, for Kubernetes and for OpenShift.
func TestInstallFileIsTheKustomization(t *testing.T) {
	for _, dir := range []string{packaging.Default, packaging.OpenShift} {
		text, err := packaging.Install(os.DirFS(server.Root), dir, "")
		must(t, err)
		want, err := lab.Run(timeout(t, time.Minute), server.Root, server.kube, "kubectl", "kustomize", dir)
		must(t, err)
		if diff := cmp.Diff(byName(t, want), byName(t, string(text))); diff != "" {
			t.Errorf("%s: -kubectl kustomize +install.yaml\n%s", dir, diff)
		}
	}
}

func byName(t *testing.T, text string) map[string]any {
	t.Helper()
	objects, err := lab.Objects(text)
	must(t, err)
	out := map[string]any{}
	for _, object := range objects {
		out[object.GetKind()+" "+object.GetNamespace()+"/"+object.GetName()] = object.Object
	}
	if len(out) != len(objects) {
		t.Errorf("%d objects have %d names: %v", len(objects), len(out), slices.Sorted(maps.Keys(out)))
	}
	return out
}
