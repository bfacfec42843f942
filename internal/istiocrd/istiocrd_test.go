package istiocrd

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"
	"sigs.k8s.io/yaml"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// schemas returns the structural schema of every kind and version, as the API server builds it.
func schemas(t *testing.T) map[string]*structural.Structural {
	t.Helper()
	crds, err := CRDs()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*structural.Structural{}
	for _, u := range crds {
		var crd apiextensionsv1.CustomResourceDefinition
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(u.Object, &crd, true); err != nil {
			t.Fatal(err)
		}
		for _, version := range crd.Spec.Versions {
			var internal apiextensions.JSONSchemaProps
			if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(version.Schema.OpenAPIV3Schema, &internal, nil); err != nil {
				t.Fatal(err)
			}
			s, err := structural.NewStructural(&internal)
			if err != nil {
				t.Fatal(err)
			}
			out[crd.Spec.Group+"/"+version.Name+" "+crd.Spec.Names.Kind] = s
		}
	}
	return out
}

func TestSchemasAreStructural(t *testing.T) {
	for name, s := range schemas(t) {
		if errs := structural.ValidateStructural(nil, s); len(errs) > 0 {
			t.Errorf("%s: %v", name, errs.ToAggregate())
		}
	}
}

func TestVersionsAndLabels(t *testing.T) {
	crds, err := CRDs()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, crd := range crds {
		if !owner.Owned(crd.GetLabels()) {
			t.Errorf("%s has no owner labels", crd.GetName())
		}
		versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
		for _, v := range versions {
			name := v.(map[string]any)["name"].(string)
			if v.(map[string]any)["storage"] == true {
				name += " stored"
			}
			got[crd.GetName()] = append(got[crd.GetName()], name)
		}
	}
	three, two := []string{"v1 stored", "v1beta1", "v1alpha3"}, []string{"v1 stored", "v1beta1"}
	want := map[string][]string{ // what Kiali 1.89 lists is among them
		"virtualservices.networking.istio.io": three, "destinationrules.networking.istio.io": three, "gateways.networking.istio.io": three,
		"serviceentries.networking.istio.io": three, "sidecars.networking.istio.io": three, "workloadentries.networking.istio.io": three,
		"workloadgroups.networking.istio.io": three, "envoyfilters.networking.istio.io": {"v1alpha3 stored"},
		"proxyconfigs.networking.istio.io": {"v1beta1 stored"}, "peerauthentications.security.istio.io": two,
		"authorizationpolicies.security.istio.io": two, "requestauthentications.security.istio.io": two,
		"telemetries.telemetry.istio.io": {"v1 stored", "v1alpha1"}, "wasmplugins.extensions.istio.io": {"v1alpha1 stored"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
}

// TestSchemaKeepsSampleFields: every object that istioconfig decodes in its tests, old spellings and all, passes the schema whole.
// What the schema refuses, istioconfig must refuse as well.
func TestSchemaKeepsSampleFields(t *testing.T) {
	all := schemas(t)
	paths, _ := filepath.Glob("../istioconfig/testdata/*.txtar")
	paths = append(paths, "testdata/articles.txtar")
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range archive.Files {
			if strings.HasPrefix(file.Name, "want") {
				continue
			}
			t.Run(filepath.Base(path)+"/"+file.Name, func(t *testing.T) { checkSample(t, all, file.Data) })
		}
	}
}

func checkSample(t *testing.T, all map[string]*structural.Structural, text []byte) {
	in := map[string]any{}
	if err := yaml.Unmarshal(text, &in); err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{Object: in}
	s := all[u.GetAPIVersion()+" "+u.GetKind()]
	if s == nil {
		t.Fatalf("%s %s is not served", u.GetAPIVersion(), u.GetKind())
	}
	o, err := istioconfig.Decode(u)
	valid := err == nil && len(istioconfig.Validate(o)) == 0
	pruned := clone(t, in)
	pruning.Prune(pruned, s, true)
	if diff := cmp.Diff(in, pruned); valid && diff != "" {
		t.Errorf("pruned (-written +stored):\n%s", diff)
	}
	result := validate.NewSchemaValidator(s.ToKubeOpenAPI(), nil, "", strfmt.Default).Validate(in)
	if valid && !result.IsValid() {
		t.Errorf("the schema refuses what istioconfig accepts: %v", result.Errors)
	}
}

func clone(t *testing.T, in map[string]any) map[string]any {
	t.Helper()
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]any{}
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSchemaRefuses(t *testing.T) {
	s := schemas(t)["networking.istio.io/v1 VirtualService"]
	cases := map[string]struct{ reason, spec string }{
		"TwoMatches":  {"A oneof has one member.", `{"http":[{"match":[{"uri":{"exact":"/","prefix":"/"}}]}]}`},
		"Percentage":  {"A percentage ends at 100.", `{"http":[{"fault":{"abort":{"percentage":{"value":101}}}}]}`},
		"Duration":    {"A duration has a unit.", `{"http":[{"timeout":"5"}]}`},
		"Type":        {"A weight is a number.", `{"http":[{"route":[{"weight":"75"}]}]}`},
		"RegexLength": {"Regular expressions are bounded.", `{"http":[{"match":[{"uri":{"regex":"` + strings.Repeat("a", 1025) + `"}}]}]}`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var spec any
			if err := json.Unmarshal([]byte(tc.spec), &spec); err != nil {
				t.Fatal(err)
			}
			if validate.NewSchemaValidator(s.ToKubeOpenAPI(), nil, "", strfmt.Default).Validate(map[string]any{"spec": spec}).IsValid() {
				t.Errorf("%s %s is accepted", tc.reason, tc.spec)
			}
		})
	}
}
