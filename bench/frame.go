package main

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// frame is a delta response as a load generator needs it: names, not resources. Decoding the resources would cost
// more than encoding them cost the server.
type frame struct {
	size    int
	typ     string // the last word of the type URL
	url     string
	nonce   string
	names   []string
	removed []string
	bodies  [][]byte // of the listeners, which name routes
}

// codec reads frames and writes ordinary messages.
type codec struct{}

func (codec) Name() string { return "proto" }

func (codec) Marshal(v any) ([]byte, error) {
	m, ok := v.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("encode %T: not a message", v)
	}
	return proto.Marshal(m)
}

func (codec) Unmarshal(data []byte, v any) error {
	f, ok := v.(*frame)
	if !ok {
		return fmt.Errorf("decode %T: not a frame", v)
	}
	*f = frame{size: len(data)}
	var resources [][]byte
	err := eachField(data, func(number protowire.Number, value []byte) {
		switch number { // of envoy.service.discovery.v3.DeltaDiscoveryResponse
		case 2:
			resources = append(resources, value)
		case 4:
			f.url = string(value)
		case 5:
			f.nonce = string(value)
		case 6:
			f.removed = append(f.removed, string(value))
		}
	})
	f.typ = f.url[strings.LastIndexByte(f.url, '.')+1:]
	for _, r := range resources {
		err = f.resource(r, err)
	}
	return err
}

func (f *frame) resource(data []byte, err error) error {
	if err != nil {
		return err
	}
	return eachField(data, func(number protowire.Number, value []byte) {
		switch { // of envoy.service.discovery.v3.Resource
		case number == 3:
			f.names = append(f.names, string(value))
		case number == 2 && f.typ == "Listener":
			f.bodies = append(f.bodies, append([]byte(nil), value...))
		}
	})
}

// eachField calls do with the length-delimited fields of an encoded message.
func eachField(data []byte, do func(protowire.Number, []byte)) error {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return protowire.ParseError(n)
		}
		data = data[n:]
		if kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(number, kind, data); n < 0 {
				return protowire.ParseError(n)
			}
			data = data[n:]
			continue
		}
		value, n := protowire.ConsumeBytes(data)
		if n < 0 {
			return protowire.ParseError(n)
		}
		do(number, value)
		data = data[n:]
	}
	return nil
}
