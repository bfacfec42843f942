package apiserver

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// TestSpecsRoundTrip sends every Installation that this repository holds, the historic one value for value: what the API server
// gives back has all of it.
func TestSpecsRoundTrip(t *testing.T) {
	o := startOperator(t, noFaults)
	defer o.end()
	for name, spec := range readSpecs(t) {
		t.Run(name, func(t *testing.T) {
			in := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "istio.openshift.com/v1alpha1", "kind": "Installation"}}
			in.SetName("istio-installation")
			if spec != nil {
				in.Object["spec"] = spec
			}
			got, err := installations().Create(timeout(t, 10*time.Second), in, metav1.CreateOptions{
				DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict,
			})
			must(t, err)
			if missing := lostPaths("spec", spec, got.Object["spec"]); len(missing) > 0 {
				t.Errorf("changed or lost: %q", missing)
			}
		})
	}
}

// readSpecs collects the samples and the inputs of the golden files.
func readSpecs(t *testing.T) map[string]map[string]any {
	t.Helper()
	out := map[string]map[string]any{}
	for _, pattern := range []string{"config/samples/*.yaml", "controllers/installation/desired/testdata/*.txtar"} {
		paths, err := filepath.Glob(filepath.Join(server.Root, pattern))
		must(t, err)
		if len(paths) == 0 {
			t.Fatalf("no file matches %s", pattern)
		}
		for _, path := range paths {
			content, err := os.ReadFile(path)
			must(t, err)
			out[filepath.Base(path)] = specOf(t, content)
		}
	}
	return out
}

func specOf(t *testing.T, content []byte) map[string]any {
	t.Helper()
	for _, file := range txtar.Parse(content).Files {
		if file.Name == "spec.yaml" {
			content = append([]byte("spec:\n"), indent(file.Data)...)
		}
	}
	var document struct {
		Spec map[string]any `json:"spec"`
	}
	must(t, yaml.Unmarshal(content, &document))
	return document.Spec
}

func indent(text []byte) []byte {
	out := []byte("  ")
	for _, b := range text {
		out = append(out, b)
		if b == '\n' {
			out = append(out, "  "...)
		}
	}
	return out
}

// lostPaths lists the paths whose value was sent and did not come back.
func lostPaths(path string, sent, got any) []string {
	switch sent := sent.(type) {
	case nil:
		return nil
	case map[string]any:
		var out []string
		fields, _ := got.(map[string]any)
		for key, value := range sent {
			out = append(out, lostPaths(path+"."+key, value, fields[key])...)
		}
		return out
	case []any:
		items, _ := got.([]any)
		if len(items) != len(sent) {
			return []string{path}
		}
		var out []string
		for i, value := range sent {
			out = append(out, lostPaths(path+"[]", value, items[i])...)
		}
		return out
	case float64:
		if number, ok := got.(int64); ok {
			got = float64(number)
		}
		if !reflect.DeepEqual(got, any(sent)) {
			return []string{path}
		}
		return nil
	}
	if !reflect.DeepEqual(sent, got) {
		return []string{path}
	}
	return nil
}
