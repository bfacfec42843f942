package packaging

import (
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	api "github.com/mesh-operator/mesh-operator/api/v1alpha1"
)

// Prefixes of what a console may show a field as.
const (
	consoleUI     = "urn:alm:descriptor:com.tectonic.ui:"
	consoleObject = "urn:alm:descriptor:io.kubernetes."
)

// specDescriptors describe every section of spec and the fields in it that are one value, as the schema has them. Fields of other
// resources, which are refused, are left out, and so is what every component has (resources, labels, ...): the form would have
// hundreds of lines.
func specDescriptors(spec apiextensionsv1.JSONSchemaProps) []v1alpha1.SpecDescriptor {
	common := spec.Properties["components"].Properties["pilot"].Properties
	var out []v1alpha1.SpecDescriptor
	var add func(path string, depth int, schema apiextensionsv1.JSONSchemaProps)
	add = func(path string, depth int, schema apiextensionsv1.JSONSchemaProps) {
		out = append(out, v1alpha1.SpecDescriptor{
			Path: path, DisplayName: displayName(path), Description: firstSentence(schema.Description), XDescriptors: control(path, depth, schema),
		})
		for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
			field := schema.Properties[name]
			if _, everywhere := common[name]; everywhere && name != "enabled" && name != "replicas" {
				continue
			}
			if depth < 3 && field.Type != "array" {
				add(path+"."+name, depth+1, field)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Properties)) {
		if !slices.ContainsFunc(api.ForeignFieldTable, func(f api.ForeignField) bool { return f.Name == name }) {
			add(name, 1, spec.Properties[name])
		}
	}
	return out
}

// control is how a console edits a field.
func control(path string, depth int, schema apiextensionsv1.JSONSchemaProps) []string {
	name := path[strings.LastIndex(path, ".")+1:]
	var out []string
	if depth > 1 {
		section, _, _ := strings.Cut(path, ".")
		out = append(out, consoleUI+"fieldGroup:"+section)
	}
	switch {
	case name == "password" || name == "token":
		return append(out, consoleUI+"password")
	case len(schema.Enum) > 0:
		for _, value := range schema.Enum {
			out = append(out, consoleUI+"select:"+strings.Trim(string(value.Raw), `"`))
		}
		return out
	case schema.Type == "boolean":
		return append(out, consoleUI+"booleanSwitch")
	case name == "replicas":
		return append(out, consoleUI+"podCount")
	case schema.Type == "integer":
		return append(out, consoleUI+"number")
	case schema.Type == "string" || schema.Type == "" && depth > 1:
		return append(out, consoleUI+"text")
	}
	return out
}

// statusControls are how a console shows what is more than text.
var statusControls = map[string][]string{
	"conditions": {consoleObject + "conditions"},
	"endpoints":  {consoleUI + "text"},
}

// statusDescriptors describe every field of status, and the addresses of the mesh as links.
func statusDescriptors(status apiextensionsv1.JSONSchemaProps) []v1alpha1.StatusDescriptor {
	var out []v1alpha1.StatusDescriptor
	for _, name := range slices.Sorted(maps.Keys(status.Properties)) {
		out = append(out, v1alpha1.StatusDescriptor{
			Path: name, DisplayName: displayName(name), Description: firstSentence(status.Properties[name].Description), XDescriptors: statusControls[name],
		})
	}
	return append(out, v1alpha1.StatusDescriptor{
		Path: "endpoints[0].url", DisplayName: "First address", Description: "Address of the first gateway.",
		XDescriptors: []string{"urn:alm:descriptor:org.w3:link"},
	})
}

// displayName is the last name of a path in words: elasticsearch_memory is "Elasticsearch memory", logJSON "Log JSON".
func displayName(path string) string {
	name := []rune(path[strings.LastIndex(path, ".")+1:])
	var out []rune
	for i, r := range name {
		switch {
		case i == 0:
			r = unicode.ToUpper(r)
		case r == '_':
			r = ' '
		case unicode.IsUpper(r) && unicode.IsLower(name[i-1]):
			out = append(out, ' ')
			if i+1 < len(name) && unicode.IsLower(name[i+1]) {
				r = unicode.ToLower(r)
			}
		}
		out = append(out, r)
	}
	return string(out)
}

// firstSentence of a field's description, on one line.
func firstSentence(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if end := strings.Index(text, ". "); end >= 0 {
		return text[:end+1]
	}
	return text
}
