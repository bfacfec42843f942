package preview

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// ignored are fields that the API server writes.
var ignored = []string{"metadata.managedFields", "metadata.resourceVersion", "metadata.generation", "metadata.uid", "metadata.creationTimestamp", "status"}

// differences appends the fields below path that differ. Elements of a list are the same when they have the same name.
func differences(out []Field, path string, before, after any, hidden bool) []Field {
	if slices.Contains(ignored, path) || reflect.DeepEqual(before, after) {
		return out
	}
	if b, ok := before.(map[string]any); ok {
		if a, ok := after.(map[string]any); ok {
			return differencesOfMaps(out, path, b, a, hidden)
		}
	}
	if b, ok := before.([]any); ok {
		if a, ok := after.([]any); ok {
			return differencesOfLists(out, path, b, a, hidden)
		}
	}
	f := Field{Path: path, From: text(before), To: text(after)}
	if hidden && (strings.HasPrefix(path, "data") || strings.HasPrefix(path, "stringData")) {
		f.From, f.To = "(hidden)", "(hidden)"
	}
	return append(out, f)
}

func differencesOfMaps(out []Field, path string, before, after map[string]any, hidden bool) []Field {
	keys := map[string]bool{}
	for key := range before {
		keys[key] = true
	}
	for key := range after {
		keys[key] = true
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		out = differences(out, join(path, key), before[key], after[key], hidden)
	}
	return out
}

func join(path, key string) string {
	switch {
	case strings.ContainsAny(key, "./"):
		return fmt.Sprintf("%s[%q]", path, key)
	case path == "":
		return key
	}
	return path + "." + key
}

func differencesOfLists(out []Field, path string, before, after []any, hidden bool) []Field {
	namedBefore, ok := byName(before)
	namedAfter, also := byName(after)
	if !ok || !also {
		if len(before) != len(after) {
			return append(out, Field{Path: path, From: text(before), To: text(after)})
		}
		for i := range before {
			out = differences(out, fmt.Sprintf("%s[%d]", path, i), before[i], after[i], hidden)
		}
		return out
	}
	names := map[string]bool{}
	for name := range namedBefore {
		names[name] = true
	}
	for name := range namedAfter {
		names[name] = true
	}
	count := len(out)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		out = differences(out, path+"["+name+"]", namedBefore[name], namedAfter[name], hidden)
	}
	if len(out) == count { // the same elements in another order
		out = append(out, Field{Path: path, From: text(before), To: text(after)})
	}
	return out
}

// byName returns the elements by their field name; ok is false when one has none, or two have the same.
func byName(list []any) (out map[string]any, ok bool) {
	out = map[string]any{}
	for _, element := range list {
		m, isMap := element.(map[string]any)
		name, isText := m["name"].(string)
		if !isMap || !isText || out[name] != nil {
			return nil, false
		}
		out[name] = element
	}
	return out, true
}

// text is a value as it would stand in a file.
func text(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		if v == "" {
			return `""`
		}
		return v
	}
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(data)
}
