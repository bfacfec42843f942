package packaging

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"sigs.k8s.io/yaml"

	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
	"github.com/mesh-operator/mesh-operator/internal/version"
)

func csv(t *testing.T) *v1alpha1.ClusterServiceVersion {
	t.Helper()
	var out v1alpha1.ClusterServiceVersion
	if err := yaml.UnmarshalStrict(readFile(t, "bundle/manifests/"+packageName+".clusterserviceversion.yaml"), &out); err != nil {
		t.Fatal(err)
	}
	return &out
}

// TestScorecard checks what the tests of operator-sdk scorecard do: every example has a spec, every field in it a descriptor, and
// status and resources are described.
func TestScorecard(t *testing.T) {
	csv := csv(t)
	var examples []struct {
		Spec map[string]any `json:"spec"`
	}
	if err := json.Unmarshal([]byte(csv.Annotations["alm-examples"]), &examples); err != nil {
		t.Fatal(err)
	}
	owned := csv.Spec.CustomResourceDefinitions.Owned[0]
	described := func(name string) bool {
		return slices.ContainsFunc(owned.SpecDescriptors, func(d v1alpha1.SpecDescriptor) bool { return d.Path == name })
	}
	for i, example := range examples {
		if len(example.Spec) == 0 {
			t.Errorf("example %d has no spec", i)
		}
		for name := range example.Spec {
			if !described(name) {
				t.Errorf("no descriptor of spec.%s", name)
			}
		}
	}
	if len(examples) != 2 || len(owned.StatusDescriptors) < 5 || len(owned.Resources) < 5 {
		t.Errorf("%d examples, %d descriptors of status, %d resources", len(examples), len(owned.StatusDescriptors), len(owned.Resources))
	}
	for _, d := range owned.SpecDescriptors {
		if d.DisplayName == "" || d.Description == "" {
			t.Errorf("spec.%s is not described", d.Path)
		}
		secret := strings.HasSuffix(d.Path, "password") || strings.HasSuffix(d.Path, "token")
		if secret != slices.Contains(d.XDescriptors, consoleUI+"password") {
			t.Errorf("spec.%s: hidden in forms: %t", d.Path, !secret)
		}
	}
	if described("meshConfig") || !described("istio.prefix") {
		t.Error("fields of other resources are described, or fields of sections are not")
	}
}

// TestRelatedImages: the bundle lists every image of the tables, for mirrors.
func TestRelatedImages(t *testing.T) {
	var got []string
	for _, image := range csv(t).Spec.RelatedImages {
		got = append(got, image.Image)
	}
	for _, image := range desired.BuiltIn() {
		if !slices.Contains(got, image.Reference) {
			t.Errorf("%s is not a related image", image.Reference)
		}
	}
}

// TestCatalog: the catalog has the package, its channel and the bundle, whose entries name each other.
func TestCatalog(t *testing.T) {
	for registry, image := range map[string]string{"": BundleImage, "registry.example/mesh": "registry.example/mesh/mesh-operator-bundle:" + version.Version} {
		files, err := Catalog(tree, registry)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, blob := range objects(t, files["catalog/"+packageName+"/catalog.yaml"]) {
			line := fmt.Sprintf("%v %v %v", blob.Object["schema"], blob.Object["package"], blob.Object["name"])
			switch blob.Object["schema"] {
			case "olm.package":
				line += fmt.Sprint(" ", blob.Object["defaultChannel"])
			case "olm.channel":
				line += fmt.Sprint(" ", blob.Object["entries"])
			case "olm.bundle":
				line += fmt.Sprint(" ", blob.Object["image"])
				for _, p := range blob.Object["properties"].([]any) {
					line += fmt.Sprint(" ", p.(map[string]any)["type"])
				}
			}
			got = append(got, line)
		}
		want := []string{
			"olm.package <nil> " + packageName + " stable",
			"olm.channel " + packageName + " stable [map[name:" + CSVName + "]]",
			"olm.bundle " + packageName + " " + CSVName + " " + image + " olm.package olm.gvk olm.csv.metadata",
		}
		if !slices.Equal(got, want) {
			t.Errorf("catalog is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}
