package envoy

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// validate checks a message and every message packed inside it against the rules that Envoy's API declares: Envoy refuses
// a whole resource for one field.
func validate(m validated) error {
	if err := m.ValidateAll(); err != nil {
		return err
	}
	return validatePacked(m.ProtoReflect())
}

// validatePacked looks into the Any fields, which the generated rules stop at.
func validatePacked(m protoreflect.Message) error {
	var failed error
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if field.Message() == nil {
			return true
		}
		switch {
		case field.IsMap():
			if field.MapValue().Message() != nil {
				value.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
					failed = validateInner(v.Message())
					return failed == nil
				})
			}
		case field.IsList():
			for i := 0; i < value.List().Len() && failed == nil; i++ {
				failed = validateInner(value.List().Get(i).Message())
			}
		default:
			failed = validateInner(value.Message())
		}
		return failed == nil
	})
	return failed
}

func validateInner(m protoreflect.Message) error {
	packed, ok := m.Interface().(*anypb.Any)
	if !ok {
		return validatePacked(m)
	}
	inner, err := packed.UnmarshalNew()
	if err != nil {
		return fmt.Errorf("decode %s: %w", packed.GetTypeUrl(), err)
	}
	if v, ok := inner.(validated); ok {
		return validate(v)
	}
	return validatePacked(inner.ProtoReflect())
}
