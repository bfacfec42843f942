package installation

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
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

// TestEveryMessageHasAnExample: whoever adds a message adds an input that earns it, which a real API server then answers.
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
	objects, err := admissionObjects("uid")
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
		if got := invalidSpec(e.Spec); got != e.Says {
			t.Errorf("%s: %q, want %q", e.Name, got, e.Says)
		}
	}
}

// TestReservedGatewayNames: what status lists beside the gateways cannot be the name of one, or the API server would refuse the whole
// status; and both who refuse such a name know the same names.
func TestReservedGatewayNames(t *testing.T) {
	everything := specOf(t, `{jaeger: {}, kiali: {username: u, password: p}, launcher: {}, threeScale: {enabled: true}}`)
	for _, part := range unsupportedParts(everything) {
		if name := part.component; name == strings.ToLower(name) && !reservedNames[name] {
			t.Errorf("a gateway may be named %s", name)
		}
	}
	_, policy, _ := strings.Cut(string(admissionYAML), "- name: taken\n")
	policy, _, _ = strings.Cut(policy, "\n")
	refused := map[string]bool{}
	for _, match := range literal.FindAllStringSubmatch(policy, -1) {
		refused[match[1]] = true
	}
	if diff := cmp.Diff(reservedNames, refused); diff != "" {
		t.Errorf("reserved by the operator and by the policy (-operator +policy):\n%s", diff)
	}
}

// definition returns the schema of Installation.
func definition(t *testing.T) *apiextensionsv1.JSONSchemaProps {
	t.Helper()
	text, err := os.ReadFile("../../config/crd/istio.openshift.com_installations.yaml")
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
