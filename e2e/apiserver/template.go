package apiserver

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// template is an OpenShift template.
type template struct {
	APIVersion   string              `json:"apiVersion"`
	Kind         string              `json:"kind"`
	Metadata     map[string]any      `json:"metadata"`
	Labels       map[string]string   `json:"labels"`
	Parameters   []templateParameter `json:"parameters"`
	Objects      []map[string]any    `json:"objects"`
	Message      string              `json:"message"`
	generateWith *rand.Rand
}

type templateParameter struct {
	Name        string `json:"name"`
	DisplayName string `json:"displayName"`
	Description string `json:"description"`
	Value       string `json:"value"`
	Generate    string `json:"generate"`
	From        string `json:"from"`
	Required    bool   `json:"required"`
}

// processTemplate expands a template as oc process does (docs.okd.io, "Using templates"): a given value wins over the default and
// over a generated one; a required parameter without a value and a value without a parameter are errors. ${NAME} inside of any
// string, keys too, becomes the value; a string that is ${{NAME}} as a whole becomes the value read as JSON. Other names stay.
func processTemplate(text []byte, values map[string]string) ([]*unstructured.Unstructured, error) {
	t := template{generateWith: rand.New(rand.NewPCG(1, 2))}
	if err := yaml.UnmarshalStrict(text, &t); err != nil {
		return nil, fmt.Errorf("parse template: %w", err)
	}
	chosen := map[string]string{}
	for i, p := range t.Parameters {
		value, given := values[p.Name]
		if !given {
			value = p.Value
		}
		if value == "" && p.Generate == "expression" {
			value = t.generate(p.From)
		}
		if value == "" && p.Required {
			return nil, fmt.Errorf("template.parameters[%d]: Required value: template parameter %s is required and must be specified", i, p.Name)
		}
		chosen[p.Name] = value
	}
	for name := range values {
		if _, known := chosen[name]; !known {
			return nil, fmt.Errorf("unexpected parameter name %q", name)
		}
	}
	var out []*unstructured.Unstructured
	for _, object := range t.Objects {
		expanded, _ := expand(object, chosen).(map[string]any)
		u := &unstructured.Unstructured{Object: expanded}
		labels := u.GetLabels()
		for key, value := range t.Labels {
			if labels == nil {
				labels = map[string]string{}
			}
			labels[key] = value
		}
		u.SetLabels(labels)
		out = append(out, u)
	}
	return out, nil
}

var (
	wholeParameter = regexp.MustCompile(`^\$\{\{([a-zA-Z0-9_]+)\}\}$`)
	parameterName  = regexp.MustCompile(`\$\{([a-zA-Z0-9_]+)\}`)
)

func expand(value any, chosen map[string]string) any {
	switch value := value.(type) {
	case string:
		return expandString(value, chosen)
	case []any:
		for i := range value {
			value[i] = expand(value[i], chosen)
		}
	case map[string]any:
		for key, field := range value {
			delete(value, key)
			name, _ := expandString(key, chosen).(string)
			value[name] = expand(field, chosen)
		}
	}
	return value
}

func expandString(text string, chosen map[string]string) any {
	if match := wholeParameter.FindStringSubmatch(text); match != nil {
		value, known := chosen[match[1]]
		if !known {
			return text
		}
		var decoded any
		if json.Unmarshal([]byte(value), &decoded) != nil {
			return value
		}
		return decoded
	}
	return parameterName.ReplaceAllStringFunc(text, func(match string) string {
		if value, known := chosen[match[2:len(match)-1]]; known {
			return value
		}
		return match
	})
}

var generated = regexp.MustCompile(`\[([^\]]+)\]\{(\d+)\}`)

// generate replaces every [CLASS]{LENGTH}, where CLASS is made of ranges such as a-z, \w, \d and \a.
func (t *template) generate(from string) string {
	return generated.ReplaceAllStringFunc(from, func(match string) string {
		parts := generated.FindStringSubmatch(match)
		class := []byte(parts[1])
		for name, ranges := range map[string]string{`\w`: "a-zA-Z0-9_", `\d`: "0-9", `\a`: "a-zA-Z"} {
			class = []byte(strings.ReplaceAll(string(class), name, ranges))
		}
		var letters []byte
		for i := 0; i < len(class); i++ {
			if i+2 < len(class) && class[i+1] == '-' {
				for c := class[i]; c <= class[i+2]; c++ {
					letters = append(letters, c)
				}
				i += 2
				continue
			}
			letters = append(letters, class[i])
		}
		var length int
		_, _ = fmt.Sscan(parts[2], &length) // digits
		out := make([]byte, length)
		for i := range out {
			out[i] = letters[t.generateWith.IntN(len(letters))]
		}
		return string(out)
	})
}

// parameterNames are the names of a template's parameters, sorted.
func parameterNames(text []byte) ([]string, error) {
	var t template
	if err := yaml.Unmarshal(text, &t); err != nil {
		return nil, err
	}
	var names []string
	for _, p := range t.Parameters {
		names = append(names, p.Name)
	}
	slices.Sort(names)
	return names, nil
}
