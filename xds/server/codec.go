package server

import (
	"runtime"
	"sync"
	"weak"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/encoding"
	encodingproto "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// The fields that are not left to the library. A message means the same when they come last.
const (
	resourcesOfResponse protowire.Number = 2
	bodyOfResource      protowire.Number = 2
	valueOfBody         protowire.Number = 2
)

// codec encodes a response as pieces that are in memory once for all streams: gRPC holds a response until its client has
// taken it, and a copy for each would be the whole mesh times the proxies that are slow. All else is encoded as usual.
type codec struct {
	encoding.CodecV2

	pieces sync.Map // *pieces by weak.Pointer[anypb.Any]: forgotten when nobody has the resource any more
}

// pieces are a resource as a field of a response.
type pieces struct {
	name, version string
	buffers       mem.BufferSlice
}

func newCodec() *codec { return &codec{CodecV2: encoding.GetCodecV2(encodingproto.Name)} }

// Marshal returns buffers of memory that belongs to no pool, so that gRPC may free them as often as there are streams.
func (c *codec) Marshal(message any) (mem.BufferSlice, error) {
	r, ok := message.(*discovery.DeltaDiscoveryResponse)
	if !ok {
		return c.CodecV2.Marshal(message)
	}
	own, err := proto.Marshal(without(r, resourcesOfResponse))
	if err != nil {
		return nil, err
	}
	out := make(mem.BufferSlice, 0, 1+2*len(r.GetResources()))
	if len(own) > 0 {
		out = append(out, mem.SliceBuffer(own))
	}
	for _, resource := range r.GetResources() {
		buffers, err := c.resource(resource)
		if err != nil {
			return nil, err
		}
		out = append(out, buffers...)
	}
	return out, nil
}

// resource finds the pieces of r by its body, which is one object in memory for as long as the resource is the same.
func (c *codec) resource(r *discovery.Resource) (mem.BufferSlice, error) {
	body := r.GetResource()
	if body == nil {
		return cut(r)
	}
	key := weak.Make(body)
	if known, ok := c.pieces.Load(key); ok {
		if p := known.(*pieces); p.name == r.GetName() && p.version == r.GetVersion() {
			return p.buffers, nil
		}
		return cut(r)
	}
	buffers, err := cut(r)
	if err != nil {
		return nil, err
	}
	p := &pieces{name: r.GetName(), version: r.GetVersion(), buffers: buffers}
	if _, known := c.pieces.LoadOrStore(key, p); !known {
		runtime.AddCleanup(body, func(key weak.Pointer[anypb.Any]) { c.pieces.Delete(key) }, key)
	}
	return buffers, nil
}

// cut encodes r as a field of a response. The value of its body stays where it is.
func cut(r *discovery.Resource) (mem.BufferSlice, error) {
	value := r.GetResource().GetValue()
	head, err := proto.Marshal(without(r, bodyOfResource))
	if err != nil {
		return nil, err
	}
	if body := r.GetResource(); body != nil {
		kind, err := proto.Marshal(without(body, valueOfBody))
		if err != nil {
			return nil, err
		}
		kind = begin(kind, valueOfBody, len(value))
		head = append(begin(head, bodyOfResource, len(kind)+len(value)), kind...)
	}
	out := mem.BufferSlice{mem.SliceBuffer(append(begin(nil, resourcesOfResponse, len(head)+len(value)), head...))}
	if len(value) > 0 {
		out = append(out, mem.SliceBuffer(value))
	}
	return out, nil
}

// without is m with one field less; the others are not copied.
func without(m proto.Message, number protowire.Number) proto.Message {
	from := m.ProtoReflect()
	to := from.New()
	from.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if field.Number() != number {
			to.Set(field, value)
		}
		return true
	})
	to.SetUnknown(from.GetUnknown())
	return to.Interface()
}

// begin appends the start of a field of this size.
func begin(to []byte, number protowire.Number, size int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(to, number, protowire.BytesType), uint64(size))
}
