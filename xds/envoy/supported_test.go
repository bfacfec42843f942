package envoy

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/scope"
)

// silent are the supported fields of which no valid other value changes anything, with the reason.
var silent = map[string]string{
	"Gateway.servers.name":             "a name for people",
	"Server.port.protocol":             "with or without TLS matters, which version of HTTP is spoken is seen",
	"Metrics.providers.name":           "there is one provider, prometheus",
	"MetricsOverrides.value.operation": "REMOVE is for labels of the mesh only and UPSERT for all others, so a label has one valid value",
	"ServiceEntry.ports.name":          "a name for the ports of endpoints",
}

// TestSupportedFieldsHaveAnEffect changes each field that is accepted, one at a time, and looks whether some proxy gets
// something else: a rule that is accepted and ignored is worse than one that is refused. The objects of
// testdata/supported.yaml set every supported field; a new one is missing there until somebody adds it.
func TestSupportedFieldsHaveAnEffect(t *testing.T) {
	in := inputs(t, "# with: bookinfo.yaml\n# with: supported.yaml\n")
	for o := range in.Config.Values() {
		if problems := istioconfig.Validate(*o); len(problems) > 0 {
			t.Fatalf("%s: %v", o, problems)
		}
	}
	base := mesh.Build(nil, in)
	builder := NewBuilder() // one, so that a part whose key forgets a field is found too
	before := everything(t, builder, base)
	effect := map[string]bool{} // false: was changed, without effect so far
	for o := range in.Config.Values() {
		v := variation{}
		root := proto.Clone(o.Spec)
		v.yield = func(field string) {
			next, changed := in, *o
			changed.Spec = proto.Clone(root)
			mesh.AddConfig(&next.Config, changed)
			if !effect[field] && len(istioconfig.Validate(changed)) == 0 {
				effect[field] = !maps.Equal(before, everything(t, builder, mesh.Build(base, next)))
			}
		}
		v.message(string(root.ProtoReflect().Descriptor().Name()), root.ProtoReflect())
	}
	for _, kind := range istioconfig.EnforcedKinds() {
		d := kind.NewSpec().ProtoReflect().Descriptor()
		eachSupported(string(d.Name()), d, func(field string) {
			switch works, tried := effect[field]; {
			case !tried && silent[field] != "": // no other value is valid
			case !tried:
				t.Errorf("%s is supported, and no object of testdata/supported.yaml has it with a value that can change", field)
			case works == (silent[field] != ""):
				t.Errorf("%s has an effect: %v", field, works)
			}
		})
	}
}

// everything is what proxies of each kind get: names of resources and their versions.
func everything(t *testing.T, b *Builder, s *mesh.Snapshot) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range []string{"default/productpage-v1", "default/reviews-v1", "legacy/billing-0", "istio-system/ingress-0"} {
		namespace, pod, _ := strings.Cut(name, "/")
		proxy, ok := s.Proxy(namespace, pod)
		if !ok {
			t.Fatalf("no pod %s", name)
		}
		set, _ := b.Build(scope.For(s, *proxy))
		for _, typ := range resource.Types {
			for r, resource := range set.Of(typ).All() {
				all[fmt.Sprint(name, typ, r)] = resource.Version
			}
		}
	}
	return all
}

// eachSupported calls visit with every field that the translator is said to express, by the name of the message around its
// message, of the field that its message is in, and its own.
func eachSupported(path string, d protoreflect.MessageDescriptor, visit func(field string)) {
	for i := range d.Fields().Len() {
		field := d.Fields().Get(i)
		if !istioconfig.Supports(field) {
			continue
		}
		name := path + "." + field.JSONName()
		if field.IsMap() {
			field = field.MapValue()
		}
		if inner := field.Message(); inner != nil && !isValue(inner) {
			eachSupported(string(d.Name())+"."+field.JSONName(), inner, visit)
		} else {
			visit(name)
		}
	}
}

// isValue tells whether a message is one value, as a duration is.
func isValue(d protoreflect.MessageDescriptor) bool {
	return strings.HasPrefix(string(d.FullName()), "google.protobuf.")
}

// variation walks a message and gives each value in it another, one at a time.
type variation struct {
	yield func(field string)
}

func (v variation) message(path string, m protoreflect.Message) {
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		at, inner := path+"."+field.JSONName(), string(m.Descriptor().Name())+"."+field.JSONName()
		switch {
		case field.IsMap():
			inner = string(m.Descriptor().Name()) + "." + field.MapValue().JSONName()
			value.Map().Range(func(key protoreflect.MapKey, e protoreflect.Value) bool {
				v.value(at, inner, field.MapValue(), e, func(x protoreflect.Value) { value.Map().Set(key, x) })
				return true
			})
		case field.IsList():
			for i := range value.List().Len() {
				v.value(at, inner, field, value.List().Get(i), func(x protoreflect.Value) { value.List().Set(i, x) })
			}
		default:
			v.value(at, inner, field, value, func(x protoreflect.Value) { m.Set(field, x) })
		}
		return true
	})
}

func (v variation) value(at, inner string, field protoreflect.FieldDescriptor, value protoreflect.Value, set func(protoreflect.Value)) {
	switch d := field.Message(); {
	case d == nil:
		for _, other := range others(field, value) {
			set(other)
			v.yield(at)
			set(value)
		}
	case isValue(d):
		v.part(at, value.Message())
	default:
		v.message(inner, value.Message())
	}
}

// part changes a message that is one value, of a duration the seconds.
func (v variation) part(at string, m protoreflect.Message) {
	field := m.Descriptor().Fields().Get(0)
	value := m.Get(field)
	for _, other := range others(field, value) {
		m.Set(field, other)
		v.yield(at)
		m.Set(field, value)
	}
}

// others are values that a field could have as well; what is no valid one is passed over.
func others(field protoreflect.FieldDescriptor, value protoreflect.Value) []protoreflect.Value {
	var list []protoreflect.Value
	switch field.Kind() {
	case protoreflect.BoolKind:
		return append(list, protoreflect.ValueOfBool(!value.Bool()))
	case protoreflect.EnumKind:
		for i := range field.Enum().Values().Len() {
			if n := field.Enum().Values().Get(i).Number(); n != value.Enum() {
				list = append(list, protoreflect.ValueOfEnum(n))
			}
		}
	case protoreflect.StringKind:
		for _, s := range []string{value.String() + "x", "x" + value.String(), "http", "reset", "mesh", "legacy", "HTTP2", "192.0.2.99"} {
			list = append(list, protoreflect.ValueOfString(s))
		}
	case protoreflect.DoubleKind:
		return append(list, protoreflect.ValueOfFloat64(value.Float()+1))
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind:
		return append(list, protoreflect.ValueOfUint32(uint32(value.Uint())+1))
	case protoreflect.Int32Kind:
		return append(list, protoreflect.ValueOfInt32(int32(value.Int())+1))
	case protoreflect.Int64Kind:
		return append(list, protoreflect.ValueOfInt64(value.Int()+1))
	default: // no field of another kind is supported
	}
	return list
}
