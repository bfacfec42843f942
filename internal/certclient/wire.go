package certclient

import (
	"fmt"
	"time"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// createCertificate is the one method of Istio's certificate service (istio.io/api/security/v1alpha1, ca.proto). Its two
// messages have three fields that are used here, so they are encoded by field number. The Go package istio.io/api would add
// several MB to the agent in every pod; the tests compare both directions with its types.
const createCertificate = "/istio.v1.auth.IstioCertificateService/CreateCertificate"

// encodeRequest returns an IstioCertificateRequest. A ttl of 0 requests the CA's default lifetime.
func encodeRequest(csr string, ttl time.Duration) []byte {
	out := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), csr)
	if seconds := int64(ttl / time.Second); seconds > 0 {
		out = protowire.AppendVarint(protowire.AppendTag(out, 3, protowire.VarintType), uint64(seconds))
	}
	return out
}

// decodeResponse returns the cert_chain of an IstioCertificateResponse, leaf first.
func decodeResponse(data []byte) (chain []string, err error) {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return nil, fmt.Errorf("parse response: %w", protowire.ParseError(n))
		}
		data = data[n:]
		if n = protowire.ConsumeFieldValue(number, kind, data); n < 0 {
			return nil, fmt.Errorf("parse response: field %d: %w", number, protowire.ParseError(n))
		}
		if number == 1 && kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(data)
			chain = append(chain, string(value))
		}
		data = data[n:]
	}
	return chain, nil
}

// message is an encoded message.
type message struct{ data []byte }

// codec passes messages to gRPC in their encoded form.
type codec struct{}

// Name is the content subtype of protobuf messages.
func (codec) Name() string { return "proto" }

// Marshal returns the encoded message.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(*message)
	if !ok {
		return nil, fmt.Errorf("marshal %T: not an encoded message", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(m.data)}, nil
}

// Unmarshal copies the message: gRPC reuses its buffers.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(*message)
	if !ok {
		return fmt.Errorf("unmarshal %T: not an encoded message", v)
	}
	m.data = data.Materialize()
	return nil
}
