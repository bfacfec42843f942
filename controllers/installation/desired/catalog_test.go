package desired

import (
	"os"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// throwaway is a component as CONTRIBUTING.md says to add one: a chart, a row and a values function.
func throwaway() Row {
	return Row{
		Name: "throwaway", Workload: "throwaway", WorkloadKind: "StatefulSet", Chart: "throwaway", Charts: os.DirFS("testdata/charts"),
		Stage: StageAddons, Image: "throwaway", Endpoints: true,
		Enabled: func(spec *v1alpha1.InstallationSpec) bool { return spec.Launcher != nil },
		Values:  func(Input) (map[string]any, error) { return map[string]any{"port": 80}, nil },
	}
}

// TestAddingAComponent adds a component without a change of other code.
func TestAddingAComponent(t *testing.T) {
	in := Input{Spec: specOf(t, "launcher: {}"), Images: Images{"throwaway": "example.com/throwaway:1"}, Catalog: append(Components(), throwaway())}
	plan, err := Build(in)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(plan.Components, func(c Component) bool { return c.Name == "throwaway" })
	if i < 0 || !plan.Components[i].Enabled || plan.Components[i].Kind != "StatefulSet" || plan.Components[i].Image != "example.com/throwaway:1" {
		t.Errorf("components: %+v", plan.Components)
	}
	for _, stage := range plan.Stages {
		for _, object := range stage.Objects {
			ref := apply.RefOf(object).String()
			if !strings.Contains(ref, "throwaway") {
				continue
			}
			want := StageAddons
			if kind := object.GetKind(); kind == "ServiceAccount" || kind == "Secret" {
				want = StageAccess
			}
			if stage.Name != want || !owner.Owned(object.GetLabels()) {
				t.Errorf("%s is in stage %s with labels %v", ref, stage.Name, object.GetLabels())
			}
		}
	}
	claims, _, _ := unstructured.NestedSlice(find(t, plan, "StatefulSet istio-system/throwaway").Object, "spec", "volumeClaimTemplates")
	labels, _, _ := unstructured.NestedStringMap(claims[0].(map[string]any), "metadata", "labels")
	if !owner.Owned(labels) || labels[owner.LabelComponent] != "throwaway" {
		t.Errorf("labels of the volume claim: %v", labels)
	}
	if !slices.Contains(in.Catalog.ReservedNames(), "throwaway") {
		t.Error("a gateway may have the component's name")
	}
	in.Spec = &v1alpha1.InstallationSpec{}
	if plan, err = Build(in); err != nil || len(plan.Refs()) == 0 || strings.Contains(listing(plan), "istio-system/throwaway") {
		t.Errorf("a spec that does not enable it: %v\n%s", err, listing(plan))
	}
}

// TestChartsRenderKnownKinds: a kind that the operator could not watch or remove is an error before anything is applied.
func TestChartsRenderKnownKinds(t *testing.T) {
	var plan Plan
	object := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "batch/v2", "kind": "Task"}}
	if err := plan.add(Row{Chart: "c"}, object); err == nil || !strings.Contains(err.Error(), "controllers/installation/kinds") {
		t.Errorf("a kind that is not in the table: %v", err)
	}
}
