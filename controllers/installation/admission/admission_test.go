package admission

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// example is an entry of testdata/admission.yaml.
type example struct {
	Name string                     `json:"name"`
	By   string                     `json:"by"`
	Spec *v1alpha1.InstallationSpec `json:"spec"`
	Says string                     `json:"says"`
}

func examples(t *testing.T) []example {
	t.Helper()
	text, err := os.ReadFile("testdata/admission.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var out []example
	if err := yaml.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestEveryMessageHasAnExample: testdata/admission.yaml has an input for every message; a scenario sends each to a real API
// server.
func TestEveryMessageHasAnExample(t *testing.T) {
	all := examples(t)
	for by, messages := range messagesBy(t) {
		for _, message := range messages {
			found := slices.ContainsFunc(all, func(e example) bool { return e.By == by && strings.Contains(e.Says, message) })
			if !found {
				t.Errorf("%s: no example in testdata/admission.yaml says %q", by, message)
			}
		}
	}
}

// messagesBy returns the texts of every validation, by policy; those of the CRD's rules are by "definition".
func messagesBy(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	objects, err := Objects("uid", owner.OperatorNamespace, desired.Components().ReservedNames())
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range objects {
		var policy admissionv1.ValidatingAdmissionPolicy
		if u.GetKind() != "ValidatingAdmissionPolicy" {
			continue
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(u.Object, &policy, true); err != nil {
			t.Fatal(err)
		}
		for _, v := range policy.Spec.Validations {
			out[policy.Name] = append(out[policy.Name], texts(t, v.Expression, v.Message, v.MessageExpression)...)
		}
	}
	eachField(definition(t), "", func(path string, s *apiextensionsv1.JSONSchemaProps) {
		for _, rule := range s.XValidations {
			out["definition"] = append(out["definition"], texts(t, path, rule.Message, rule.MessageExpression)...)
		}
	})
	return out
}

// literal finds the texts between the values that an expression puts into a message.
var literal = regexp.MustCompile(`'([^']*)'`)

func texts(t *testing.T, of, message, expression string) []string {
	t.Helper()
	if message != "" {
		return []string{message}
	}
	var out []string
	for _, match := range literal.FindAllStringSubmatch(expression, -1) {
		out = append(out, match[1])
	}
	if len(out) == 0 {
		t.Errorf("%s says nothing when it refuses", of)
	}
	return out
}

// TestInvalidSpecMatchesPolicyMessages: an Installation that is older than the policies is refused in the same words.
func TestInvalidSpecMatchesPolicyMessages(t *testing.T) {
	for _, e := range examples(t) {
		if e.Spec == nil || e.By != "installation-values.istio.openshift.com" || strings.Contains(e.Says, "is not text") {
			continue
		}
		if got := desired.Invalid(e.Spec, desired.Components()); got != e.Says {
			t.Errorf("%s: %q, want %q", e.Name, got, e.Says)
		}
	}
}

// TestReservedGatewayNames: what status lists beside the gateways cannot be the name of a gateway, or the API server would
// refuse the whole status.
func TestReservedGatewayNames(t *testing.T) {
	reserved := desired.Components().ReservedNames()
	var everything v1alpha1.InstallationSpec
	if err := yaml.Unmarshal([]byte(`{jaeger: {}, kiali: {username: u, password: p}, launcher: {}, threeScale: {enabled: true}}`), &everything); err != nil {
		t.Fatal(err)
	}
	names := []string{"istio"}
	for _, part := range desired.UnsupportedParts(&everything) {
		names = append(names, part.Component)
	}
	for _, row := range desired.Components() {
		names = append(names, row.Name, row.Workload, row.Chart)
	}
	for _, name := range names {
		if name != "" && name == strings.ToLower(name) && !slices.Contains(reserved, name) {
			t.Errorf("a gateway may be named %s", name)
		}
	}
}

// definition returns the schema of Installation.
func definition(t *testing.T) *apiextensionsv1.JSONSchemaProps {
	t.Helper()
	text, err := os.ReadFile("../../../config/crd/istio.openshift.com_installations.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(text, &crd); err != nil {
		t.Fatal(err)
	}
	return crd.Spec.Versions[0].Schema.OpenAPIV3Schema
}

// eachField visits a schema and all below it.
func eachField(s *apiextensionsv1.JSONSchemaProps, path string, visit func(string, *apiextensionsv1.JSONSchemaProps)) {
	visit(path, s)
	for name, child := range s.Properties {
		eachField(&child, path+"."+name, visit)
	}
	if s.Items != nil {
		eachField(s.Items.Schema, path+"[]", visit)
	}
	if s.AdditionalProperties != nil {
		eachField(s.AdditionalProperties.Schema, path+"{}", visit)
	}
}

// TestEveryFieldHasADescription: kubectl explain has something to say about every field, and begins with what the field is.
func TestEveryFieldHasADescription(t *testing.T) {
	root := definition(t)
	for _, part := range []string{"spec", "status"} {
		s := root.Properties[part]
		eachField(&s, part, func(path string, s *apiextensionsv1.JSONSchemaProps) {
			element := strings.HasSuffix(path, "[]") || strings.HasSuffix(path, "{}")
			if !element && len(strings.Fields(s.Description)) < 3 {
				t.Errorf("%s: %q does not describe it", path, s.Description)
			}
		})
	}
}

// TestPoliciesAreOwnedAndBound: every policy has a binding and leaves with the definition of Installation.
func TestPoliciesAreOwnedAndBound(t *testing.T) {
	objects, err := Objects("uid", owner.OperatorNamespace, desired.Components().ReservedNames())
	if err != nil {
		t.Fatal(err)
	}
	bindings := map[string]bool{}
	for _, object := range objects {
		if owners := object.GetOwnerReferences(); len(owners) != 1 || owners[0].UID != "uid" {
			t.Errorf("%s %s is not owned by the definition", object.GetKind(), object.GetName())
		}
		if object.GetKind() == "ValidatingAdmissionPolicyBinding" {
			bindings[object.GetName()] = true
		}
	}
	for _, object := range objects {
		if object.GetKind() == "ValidatingAdmissionPolicy" && !bindings[object.GetName()] {
			t.Errorf("policy %s has no binding", object.GetName())
		}
	}
}
