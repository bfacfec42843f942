package agent

import (
	"fmt"

	"google.golang.org/grpc/mem"
)

// frame is one gRPC message in its encoded form.
type frame struct{ data []byte }

// frameCodec passes messages to gRPC in their encoded form.
type frameCodec struct{}

// Name is the content subtype of protobuf messages, which the peer expects.
func (frameCodec) Name() string { return "proto" }

// Marshal returns the encoded message.
func (frameCodec) Marshal(v any) (mem.BufferSlice, error) {
	f, ok := v.(*frame)
	if !ok {
		return nil, fmt.Errorf("marshal %T: not a frame", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(f.data)}, nil
}

// Unmarshal copies the message: gRPC reuses its buffers.
func (frameCodec) Unmarshal(data mem.BufferSlice, v any) error {
	f, ok := v.(*frame)
	if !ok {
		return fmt.Errorf("unmarshal %T: not a frame", v)
	}
	f.data = data.Materialize()
	return nil
}
