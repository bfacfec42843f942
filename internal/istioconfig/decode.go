package istioconfig

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// maxDepth bounds the recursion over a hostile object; the deepest real one has about a dozen levels.
const maxDepth = 64

// FieldError is a field that cannot be decoded.
type FieldError struct {
	Field  string
	Reason string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Reason }

// Decode turns a raw object into a typed one. The input is not changed. An error is a *FieldError when it is about one
// field.
func Decode(u *unstructured.Unstructured) (Object, error) {
	kind := Kind(u.GetKind())
	row, ok := definitionOf(kind)
	if group := u.GroupVersionKind().Group; !ok || group != row.group {
		return Object{}, fmt.Errorf("decode %s %s: not a kind of Istio's API", u.GetAPIVersion(), u.GetKind())
	}
	if !row.enforced() {
		return Object{}, fmt.Errorf("decode %s %s/%s: %w", kind, u.GetNamespace(), u.GetName(), &FieldError{"kind", kind.Refusal()})
	}
	o := Object{
		Kind: kind, Namespace: u.GetNamespace(), Name: u.GetName(), UID: u.GetUID(), Created: u.GetCreationTimestamp().Time,
		Generation: u.GetGeneration(), Labels: maps.Clone(u.GetLabels()), Spec: row.spec(),
	}
	spec, err := rawSpec(u)
	if err != nil {
		return Object{}, fmt.Errorf("decode %s: %w", o, err)
	}
	r := rewriter{}
	if row.rewrite != nil {
		row.rewrite(&r, spec)
	}
	o.Rewrites, o.PortNames = r.done, r.portNames
	if err := decodeSpec(o.Spec, spec); err != nil {
		return Object{}, fmt.Errorf("decode %s: %w", o, err)
	}
	return o, nil
}

func rawSpec(u *unstructured.Unstructured) (map[string]any, error) {
	raw, found := u.Object["spec"]
	if !found || raw == nil {
		return map[string]any{}, nil
	}
	spec, ok := raw.(map[string]any)
	if !ok {
		return nil, &FieldError{"spec", "must be an object"}
	}
	if tooDeep(spec, maxDepth) {
		return nil, &FieldError{"spec", fmt.Sprintf("nested deeper than %d levels", maxDepth)}
	}
	return deepCopy(spec).(map[string]any), nil
}

func tooDeep(v any, left int) bool {
	if left == 0 {
		return true
	}
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			if tooDeep(e, left-1) {
				return true
			}
		}
	case []any:
		for _, e := range v {
			if tooDeep(e, left-1) {
				return true
			}
		}
	}
	return false
}

// deepCopy copies maps and lists; it takes any scalar, where the API machinery's copy panics on an int.
func deepCopy(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = deepCopy(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = deepCopy(e)
		}
		return out
	default:
		return v
	}
}

func decodeSpec(into proto.Message, spec map[string]any) error {
	desc := into.ProtoReflect().Descriptor()
	if err := prepare(desc, spec, "spec"); err != nil {
		return err
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	if err := protojson.Unmarshal(text, into); err != nil {
		return locate(desc, spec, "spec", err)
	}
	return nil
}

// prepare walks a raw message beside its descriptor: it names the fields that do not exist and gives durations the form
// that protojson reads ("3m" becomes "180s").
func prepare(desc protoreflect.MessageDescriptor, raw map[string]any, path string) error {
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		field := fieldOf(desc, name)
		if field == nil {
			return &FieldError{path + "." + name, "unknown field"}
		}
		if field.Message() == nil {
			continue
		}
		value, err := prepareField(field, raw[name], path+"."+name)
		if err != nil {
			return err
		}
		raw[name] = value
	}
	return nil
}

func fieldOf(desc protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	if f := desc.Fields().ByJSONName(name); f != nil {
		return f
	}
	return desc.Fields().ByTextName(name)
}

func prepareField(field protoreflect.FieldDescriptor, value any, path string) (any, error) {
	switch value := value.(type) {
	case []any:
		if field.IsList() {
			return value, prepareList(field.Message(), value, path)
		}
	case map[string]any:
		if field.IsMap() {
			return value, prepareMap(field.MapValue().Message(), value, path)
		}
	}
	return prepareValue(field.Message(), value, path)
}

func prepareList(desc protoreflect.MessageDescriptor, list []any, path string) error {
	for i, e := range list {
		value, err := prepareValue(desc, e, fmt.Sprintf("%s[%d]", path, i))
		if err != nil {
			return err
		}
		list[i] = value
	}
	return nil
}

func prepareMap(desc protoreflect.MessageDescriptor, m map[string]any, path string) error {
	if desc == nil { // a map of scalars
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		value, err := prepareValue(desc, m[key], fmt.Sprintf("%s[%s]", path, key))
		if err != nil {
			return err
		}
		m[key] = value
	}
	return nil
}

func prepareValue(desc protoreflect.MessageDescriptor, value any, path string) (any, error) {
	if desc.FullName() == "google.protobuf.Duration" {
		return duration(value, path)
	}
	if m, ok := value.(map[string]any); ok && !strings.HasPrefix(string(desc.FullName()), "google.protobuf.") {
		return m, prepare(desc, m, path)
	}
	return value, nil
}

// duration accepts what Istio always did, Go's notation, which protojson does not.
func duration(value any, path string) (any, error) {
	text, ok := value.(string)
	if !ok {
		return value, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return nil, &FieldError{path, fmt.Sprintf("%q is not a duration such as 1.5s, 200ms or 1h30m", text)}
	}
	sign := ""
	if d < 0 {
		sign = "-"
	}
	return fmt.Sprintf("%s%d.%09ds", sign, magnitude(d)/1e9, magnitude(d)%1e9), nil
}

// magnitude is the absolute value, also of the smallest duration.
func magnitude(d time.Duration) uint64 {
	if d < 0 {
		return -uint64(d)
	}
	return uint64(d)
}

// locate finds the innermost field that makes protojson fail, because its own message has a column and no path.
func locate(desc protoreflect.MessageDescriptor, raw map[string]any, path string, cause error) error {
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		err := tryField(desc, name, raw[name])
		if err == nil {
			continue
		}
		field, at := fieldOf(desc, name), path+"."+name
		if list, ok := raw[name].([]any); ok && field.IsList() {
			return locateElement(desc, field, list, at, err)
		}
		if m, ok := raw[name].(map[string]any); ok && field.Message() != nil && !field.IsMap() && !field.IsList() {
			return locate(field.Message(), m, at, err)
		}
		return &FieldError{at, withoutPrefix(err)}
	}
	return &FieldError{path, withoutPrefix(cause)}
}

func locateElement(desc protoreflect.MessageDescriptor, field protoreflect.FieldDescriptor, list []any, path string, cause error) error {
	for i, e := range list {
		err := tryField(desc, field.JSONName(), []any{e})
		if err == nil {
			continue
		}
		at := fmt.Sprintf("%s[%d]", path, i)
		if m, ok := e.(map[string]any); ok && field.Message() != nil {
			return locate(field.Message(), m, at, err)
		}
		return &FieldError{at, withoutPrefix(err)}
	}
	return &FieldError{path, withoutPrefix(cause)}
}

func tryField(desc protoreflect.MessageDescriptor, name string, value any) error {
	text, err := json.Marshal(map[string]any{name: value})
	if err != nil {
		return err
	}
	return protojson.Unmarshal(text, dynamicpb.NewMessage(desc))
}

// withoutPrefix removes protojson's prefix and position from an error; its space is deliberately unstable.
func withoutPrefix(err error) string {
	text := strings.ReplaceAll(err.Error(), "\u00a0", " ")
	text = strings.TrimPrefix(text, "proto: ")
	if strings.HasPrefix(text, "(line ") {
		if _, rest, ok := strings.Cut(text, "): "); ok {
			text = rest
		}
	}
	return text
}
