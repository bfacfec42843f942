package main

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
)

type schema = apiextensions.JSONSchemaProps

// messageSchema walks a message; above are the messages that it lies in.
func messageSchema(message protoreflect.MessageDescriptor, above []protoreflect.FullName) schema {
	if wellKnown, ok := wellKnownSchema(message.FullName()); ok {
		return wellKnown
	}
	if slices.Contains(above, message.FullName()) {
		panic(fmt.Sprintf("%s contains itself: structural schemas cannot say that", message.FullName()))
	}
	above = append(slices.Clone(above), message.FullName())
	out := schema{Type: "object", Description: descriptions[message.FullName()], Properties: map[string]schema{}}
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		out.Properties[field.JSONName()] = fieldSchema(field, above)
	}
	for name, old := range oldSpellings[message.FullName()] {
		out.Properties[name] = old
	}
	for i := range message.Oneofs().Len() {
		exclusive(&out, message.Oneofs().Get(i))
	}
	return out
}

func wellKnownSchema(name protoreflect.FullName) (schema, bool) {
	switch name {
	case "google.protobuf.Duration":
		return schema{Type: "string", MaxLength: new(int64(64)), Pattern: `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`}, true
	case "google.protobuf.UInt32Value":
		return schema{Type: "integer", Format: "int64", Minimum: new(0.0), Maximum: new(4294967295.0)}, true
	case "google.protobuf.Int32Value":
		return schema{Type: "integer", Format: "int32"}, true
	case "google.protobuf.BoolValue":
		return schema{Type: "boolean"}, true
	case "google.protobuf.StringValue":
		return schema{Type: "string"}, true
	case "google.protobuf.DoubleValue":
		return schema{Type: "number"}, true
	case "google.protobuf.Struct":
		return schema{Type: "object", XPreserveUnknownFields: new(true)}, true
	}
	return schema{}, false
}

func fieldSchema(field protoreflect.FieldDescriptor, above []protoreflect.FullName) schema {
	var out schema
	switch {
	case field.IsMap():
		out = schema{Type: "object", AdditionalProperties: &apiextensions.JSONSchemaPropsOrBool{Allows: true, Schema: valuePointer(field.MapValue(), above)}}
	case field.IsList():
		out = schema{Type: "array", Items: &apiextensions.JSONSchemaPropsOrArray{Schema: valuePointer(field, above)}}
	default:
		out = valueSchema(field, above)
	}
	if text := description(field); text != "" {
		out.Description = text
	}
	if rule, ok := rules[field.FullName()]; ok {
		rule(&out)
	}
	return out
}

// description is the table's text; a field that the translator does not know says so in kubectl explain.
func description(field protoreflect.FieldDescriptor) string {
	text := descriptions[field.FullName()]
	if istioconfig.Supports(field) {
		return text
	}
	return strings.TrimSpace(text + " Not supported yet: refused at admission.")
}

func valuePointer(field protoreflect.FieldDescriptor, above []protoreflect.FullName) *schema {
	return new(valueSchema(field, above))
}

func valueSchema(field protoreflect.FieldDescriptor, above []protoreflect.FullName) schema {
	switch field.Kind() {
	case protoreflect.MessageKind:
		return messageSchema(field.Message(), above)
	case protoreflect.EnumKind:
		return enumSchema(field.Enum())
	case protoreflect.BoolKind:
		return schema{Type: "boolean"}
	case protoreflect.StringKind:
		return schema{Type: "string"}
	case protoreflect.BytesKind:
		return schema{Type: "string", Format: "byte"}
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		return schema{Type: "number", Format: "double"}
	case protoreflect.Int32Kind:
		return schema{Type: "integer", Format: "int32"}
	case protoreflect.Uint32Kind:
		return schema{Type: "integer", Format: "int64", Minimum: new(0.0), Maximum: new(4294967295.0)}
	case protoreflect.Uint64Kind:
		return schema{Type: "integer", Format: "int64", Minimum: new(0.0)}
	default:
		panic(fmt.Sprintf("%s: no schema for kind %s", field.FullName(), field.Kind()))
	}
}

// enumSchema lists the names; numbers are legal protobuf JSON and nobody writes them.
func enumSchema(enum protoreflect.EnumDescriptor) schema {
	out := schema{Type: "string"}
	for i := range enum.Values().Len() {
		name := string(enum.Values().Get(i).Name())
		out.Enum = append(out.Enum, apiextensions.JSON{Raw: []byte(`"` + name + `"`)})
	}
	return out
}

// exclusive allows at most one member of a oneof: none of them, or exactly one.
func exclusive(out *schema, oneof protoreflect.OneofDescriptor) {
	if oneof.IsSynthetic() || oneof.Fields().Len() < 2 {
		return
	}
	var members []schema
	for i := range oneof.Fields().Len() {
		members = append(members, schema{Required: []string{oneof.Fields().Get(i).JSONName()}})
	}
	choice := append([]schema{{Not: &schema{AnyOf: members}}}, members...)
	if out.OneOf == nil {
		out.OneOf = choice
		return
	}
	out.AllOf = append(out.AllOf, schema{OneOf: choice})
}
