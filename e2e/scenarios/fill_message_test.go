package scenarios

import (
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"
)

// fill sets every field of a message and of all below it. Of every oneof it sets the member that variant chooses, of every
// enum the value.
func fill(m protoreflect.Message, variant int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if one := field.ContainingOneof(); one != nil && !one.IsSynthetic() && one.Fields().Get(variant%one.Fields().Len()) != field {
			continue
		}
		switch {
		case field.IsMap():
			value := m.Mutable(field).Map()
			value.Set(filled(field.MapKey(), protoreflect.Value{}, variant).MapKey(), filled(field.MapValue(), value.NewValue(), variant))
		case field.IsList():
			list := m.Mutable(field).List()
			list.Append(filled(field, list.NewElement(), variant))
		default:
			m.Set(field, filled(field, m.NewField(field), variant))
		}
	}
}

// filled returns a value that is not the default; message is an empty one where the field takes one.
func filled(field protoreflect.FieldDescriptor, message protoreflect.Value, variant int) protoreflect.Value {
	switch field.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		if field.Message().FullName() == "google.protobuf.Value" {
			return protoreflect.ValueOfMessage(structpb.NewStringValue("a").ProtoReflect()) // may hold itself, without end
		}
		fill(message.Message(), variant)
		return message
	case protoreflect.EnumKind:
		values := field.Enum().Values()
		return protoreflect.ValueOfEnum(values.Get((variant + 1) % values.Len()).Number())
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte("a"))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(50)
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(50)
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(1)
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(1)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(1)
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(1)
	default: // a kind that Istio's API does not use would be left out, and seen
		return protoreflect.ValueOfString("a")
	}
}
