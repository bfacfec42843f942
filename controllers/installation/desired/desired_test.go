package desired

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/golden"
)

var builtIn = ImageDefaults{BuiltIn: BuiltInImages(func(string) string { return "" })}

// TestDesired shows the list of objects of every case, and in full those that the case names in its section "show".
func TestDesired(t *testing.T) {
	golden.Run(t, "testdata/*.txtar", func(t *testing.T, c golden.Case) map[string]string {
		plan := build(t, c.Files["spec.yaml"], strings.Contains(string(c.Files["facts.yaml"]), "roots: present"))
		out := map[string]string{"want/objects": listing(plan)}
		for _, name := range strings.Split(strings.TrimSpace(string(c.Files["show"])), "\n") {
			if name != "" {
				out["want/"+name+".yaml"] = show(t, plan, name)
			}
		}
		return out
	})
}

func build(t *testing.T, spec []byte, roots bool) Plan {
	t.Helper()
	in := v1alpha1.InstallationSpec{}
	if err := yaml.UnmarshalStrict(spec, &in); err != nil {
		t.Fatal(err)
	}
	facts := Facts{NamespaceUID: "7e57"}
	if roots {
		facts.Roots = []byte("a root")
	}
	images, _ := ChooseImages(&in, builtIn)
	plan, err := Build(Input{Spec: &in, Images: images, Facts: facts, Catalog: Components()})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func listing(plan Plan) string {
	var out strings.Builder
	for _, stage := range plan.Stages {
		fmt.Fprintf(&out, "%s:\n", stage.Name)
		for _, object := range stage.Objects {
			fmt.Fprintf(&out, "  %s\n", apply.RefOf(object))
		}
	}
	for _, c := range plan.Components {
		fmt.Fprintf(&out, "component %s: enabled=%t image=%s\n", c.Name, c.Enabled, c.Image)
	}
	return out.String()
}

func show(t *testing.T, plan Plan, name string) string {
	t.Helper()
	object := find(t, plan, name).DeepCopy()
	if _, ok, _ := unstructured.NestedString(object.Object, "data", "config"); ok {
		// The template has its own tests; here it would only make noise.
		_ = unstructured.SetNestedField(object.Object, "(internal/injecttemplate)", "data", "config")
		values, _, _ := unstructured.NestedString(object.Object, "data", "values")
		_ = unstructured.SetNestedField(object.Object, strings.ReplaceAll(values, plan.SidecarVersion, "(of template and values)"), "data", "values")
	}
	data, err := yaml.Marshal(object.Object)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func find(t *testing.T, plan Plan, name string) *unstructured.Unstructured {
	t.Helper()
	for _, object := range plan.Objects() {
		if apply.RefOf(object).String() == name {
			return object
		}
	}
	t.Fatalf("no object %s", name)
	return nil
}
