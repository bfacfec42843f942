package scenarios

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

type rules = apiextensionsv1.JSONSchemaProps

// TestAdmissionSchema breaks every rule of the Installation's schema, one at a time, as dry runs: the refusal names the field,
// and the value or what is expected.
func TestAdmissionSchema(t *testing.T) {
	readyMesh(t)
	var crd apiextensionsv1.CustomResourceDefinition
	must(t, yaml.Unmarshal([]byte(read(t, "config/crd/istio.openshift.com_installations.yaml")), &crd))
	spec := crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
	var all []breach
	breaches(&spec, "spec", func(v any) any { return v }, &all)
	if len(all) < 100 {
		t.Fatalf("found only %d rules in the schema", len(all))
	}
	for _, b := range all {
		whole, ok := b.spec.(map[string]any)
		if !ok {
			continue // a spec that is no mapping
		}
		refusal := trySpec(t, whole).Refusal
		for _, word := range append([]string{b.path}, b.words...) {
			if !strings.Contains(refusal, word) {
				t.Errorf("%s, %s: the refusal lacks %q: %s", b.path, b.rule, word, refusal)
			}
		}
	}
	t.Logf("%d rules broken", len(all))
}

// breach is a spec that breaks one rule.
type breach struct {
	path, rule string
	words      []string // that the refusal must hold
	spec       any
}

// breaches collects the breaches of a schema and of all below it; wrap puts a value for it into a whole spec.
func breaches(s *rules, path string, wrap func(any) any, out *[]breach) {
	add := func(rule string, value any, words ...string) {
		*out = append(*out, breach{path, rule, words, wrap(value)})
	}
	ofType(s, add)
	ofString(s, add)
	if s.Minimum != nil {
		add("minimum", int64(*s.Minimum)-1, fmt.Sprint(int64(*s.Minimum)-1), fmt.Sprintf("greater than or equal to %v", *s.Minimum))
	}
	if s.Maximum != nil {
		add("maximum", int64(*s.Maximum)+1, fmt.Sprint(int64(*s.Maximum)+1), fmt.Sprintf("less than or equal to %v", *s.Maximum))
	}
	for _, name := range s.Required {
		value := valid(s)
		delete(value, name)
		*out = append(*out, breach{path + "." + name, "required", []string{"Required value"}, wrap(value)})
	}
	for name, child := range s.Properties {
		breaches(&child, path+"."+name, func(v any) any {
			value := valid(s)
			value[name] = v
			return wrap(value)
		}, out)
	}
	ofElements(s, path, wrap, add, out)
}

func ofElements(s *rules, path string, wrap func(any) any, add func(string, any, ...string), out *[]breach) {
	if s.MaxItems != nil {
		var many []any
		for i := range *s.MaxItems + 1 {
			many = append(many, element(s.Items.Schema, i))
		}
		add("maxItems", many, fmt.Sprintf("must have at most %d items", *s.MaxItems))
	}
	if s.Items != nil {
		if s.XListType != nil && *s.XListType == "map" {
			add("unique", []any{element(s.Items.Schema, 0), element(s.Items.Schema, 0)}, "Duplicate value")
		}
		breaches(s.Items.Schema, path+"[0]", func(v any) any { return wrap([]any{v}) }, out)
	}
	if s.AdditionalProperties != nil {
		breaches(s.AdditionalProperties.Schema, path+".key", func(v any) any { return wrap(map[string]any{"key": v}) }, out)
	}
}

func ofType(s *rules, add func(string, any, ...string)) {
	switch s.Type {
	case "string":
		add("type", true, "must be of type string")
	case "boolean", "integer", "object", "array":
		add("type", "nonsense", "must be of type "+s.Type)
	}
}

func ofString(s *rules, add func(string, any, ...string)) {
	if len(s.Enum) > 0 {
		words := []string{`"nonsense"`}
		for _, value := range s.Enum {
			words = append(words, string(value.Raw))
		}
		add("enum", "nonsense", words...)
	}
	if s.Pattern != "" {
		add("pattern", "no! nonsense", "no! nonsense", s.Pattern)
	}
	if s.MinLength != nil {
		add("minLength", "", fmt.Sprintf("at least %d chars long", *s.MinLength))
	}
	if s.MaxLength != nil {
		add("maxLength", strings.Repeat("a", int(*s.MaxLength)+1), fmt.Sprintf("may not be more than %d", *s.MaxLength))
	}
}

// valid returns an object with the required fields only.
func valid(s *rules) map[string]any {
	out := map[string]any{}
	for _, name := range s.Required {
		child := s.Properties[name]
		out[name] = least(&child)
	}
	return out
}

func least(s *rules) any {
	switch {
	case len(s.Enum) > 0:
		return strings.Trim(string(s.Enum[0].Raw), `"`)
	case s.Type == "integer" && s.Minimum != nil:
		return int64(math.Max(*s.Minimum, 1))
	case s.Type == "integer":
		return int64(1)
	case s.Type == "string":
		return "a"
	}
	return valid(s)
}

// element returns a valid element of a list, different for each i.
func element(s *rules, i int64) any {
	value := valid(s)
	for name, child := range s.Properties {
		if child.Type == "string" && slices.Contains(s.Required, name) && len(child.Enum) == 0 {
			value[name] = fmt.Sprintf("a%d", i)
		}
	}
	return value
}
