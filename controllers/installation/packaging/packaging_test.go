package packaging

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
)

var tree = os.DirFS("../../..")

// TestFilesAreGenerated: config and bundle are what the tables and config/default ask for, and nothing else is in bundle.
func TestFilesAreGenerated(t *testing.T) {
	files, err := Files(tree, desired.Components())
	if err != nil {
		t.Fatal(err)
	}
	text := readFile(t, "config/manager/deployment.yaml")
	if files["config/manager/deployment.yaml"], err = Deployment(text); err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		if diff := cmp.Diff(string(want), string(readFile(t, name))); diff != "" {
			t.Errorf("%s is stale, run make generate (-want +got):\n%s", name, diff)
		}
	}
	err = fs.WalkDir(tree, "bundle", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && files[path] == nil {
			t.Errorf("%s is not generated; delete it", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	text, err := fs.ReadFile(tree, name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// objects parses a file of several objects.
func objects(t *testing.T, text []byte) []*unstructured.Unstructured {
	t.Helper()
	var out []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(object.Object) > 0 {
			out = append(out, object)
		}
	}
}

// TestInstallOrder: the file has every object that the kustomization names, and the operator after all that it needs.
func TestInstallOrder(t *testing.T) {
	for dir, want := range map[string]string{
		Default:   "Namespace CustomResourceDefinition ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding ServiceAccount Role ClusterRole RoleBinding ClusterRoleBinding Deployment",
		OpenShift: "Namespace CustomResourceDefinition SecurityContextConstraints ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding ServiceAccount Role ClusterRole RoleBinding ClusterRoleBinding Deployment",
	} {
		text, err := Install(tree, dir, "")
		if err != nil {
			t.Fatal(err)
		}
		var order []string
		for _, object := range objects(t, text) {
			order = append(order, object.GetKind())
		}
		if got := strings.Join(slices.Compact(order), " "); got != want {
			t.Errorf("%s: kinds are %q, want %q", dir, got, want)
		}
	}
}

// TestInstallFromRegistry: every image is taken from the registry, by its last name and tag.
func TestInstallFromRegistry(t *testing.T) {
	text, err := Install(tree, Default, "registry.example:5000/mesh/")
	if err != nil {
		t.Fatal(err)
	}
	for _, image := range desired.BuiltIn() {
		if bytes.Contains(text, []byte(image.Reference)) {
			t.Errorf("%s is still pulled from where it was", image.Reference)
		}
		if want := "value: registry.example:5000/mesh/" + filepath.Base(image.Reference) + "\n"; !bytes.Contains(text, []byte(want)) {
			t.Errorf("the file lacks %q", want)
		}
	}
}

// TestUnknownKustomization: what would be left out silently is an error.
func TestUnknownKustomization(t *testing.T) {
	files := fstest.MapFS{
		"a/kustomization.yaml": {Data: []byte("resources: [one.yaml]\nnamePrefix: x-\n")},
		"b/kustomization.yaml": {Data: []byte("resources: [one.yaml]\n")},
		"b/one.yaml":           {Data: []byte("apiVersion: v1\nkind: Secret\nmetadata: {name: one}\n")},
	}
	for dir, want := range map[string]string{"a": `unknown field "namePrefix"`, "b": "order kind Secret", "c": "read kustomization"} {
		if _, err := Install(files, dir, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", dir, err, want)
		}
	}
}

// TestAddonsThatNameAUser: the accounts of add-ons whose pods name a user may do so on OpenShift, also with a volume.
func TestAddonsThatNameAUser(t *testing.T) {
	text, err := SCC(desired.Components())
	if err != nil {
		t.Fatal(err)
	}
	for _, account := range []string{"elasticsearch", "jaeger", "prometheus"} {
		if !strings.Contains(string(text), "\n  name: "+account+"\n  namespace: istio-system\n") {
			t.Errorf("no constraints for %s in:\n%s", account, text)
		}
	}
	if strings.Contains(string(text), "name: istio-pilot") || strings.Contains(string(text), "name: istio-ingressgateway") {
		t.Error("the control plane and gateways need no constraints beyond the default")
	}
}
