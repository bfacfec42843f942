package agent

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// The fields of Envoy's messages that the agent reads and writes, by their numbers in the .proto files of Envoy
// (envoy/service/discovery/v3/discovery.proto and below). The tests compare both directions with Envoy's Go types, which
// are not linked here: see object.

// discoveryRequest is what the agent uses of envoy.service.discovery.v3.DiscoveryRequest.
type discoveryRequest struct {
	names     []string
	typeURL   string
	nonce     string
	rejection string // message of error_detail; "" for an ACK
}

func parseDiscoveryRequest(data []byte) (r discoveryRequest, err error) {
	err = eachField(data, func(number protowire.Number, value []byte) error {
		switch number {
		case 3:
			r.names = append(r.names, string(value))
		case 4:
			r.typeURL = string(value)
		case 5:
			r.nonce = string(value)
		case 6:
			return parseStatus(value, &r.rejection)
		}
		return nil
	})
	return r, err
}

// deltaRejection is what the agent uses of envoy.service.discovery.v3.DeltaDiscoveryRequest.
type deltaRejection struct{ typeURL, nonce, message string }

func parseDeltaRejection(data []byte) (r deltaRejection, err error) {
	err = eachField(data, func(number protowire.Number, value []byte) error {
		switch number {
		case 2:
			r.typeURL = string(value)
		case 6:
			r.nonce = string(value)
		case 7:
			return parseStatus(value, &r.message)
		}
		return nil
	})
	return r, err
}

// parseStatus reads the message of a google.rpc.Status.
func parseStatus(data []byte, message *string) error {
	return eachField(data, func(number protowire.Number, value []byte) error {
		if number == 2 {
			*message = string(value)
		}
		return nil
	})
}

// eachField calls visit with every length-delimited field of an encoded message: strings, bytes and messages.
func eachField(data []byte, visit func(number protowire.Number, value []byte) error) error {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return fmt.Errorf("parse message: %w", protowire.ParseError(n))
		}
		data = data[n:]
		if n = protowire.ConsumeFieldValue(number, kind, data); n < 0 {
			return fmt.Errorf("parse message: field %d: %w", number, protowire.ParseError(n))
		}
		if kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(data)
			if err := visit(number, value); err != nil {
				return err
			}
		}
		data = data[n:]
	}
	return nil
}

// discoveryResponse is what the agent sends of envoy.service.discovery.v3.DiscoveryResponse.
type discoveryResponse struct {
	version, typeURL, nonce string
	resources               [][]byte // encoded messages of the type
}

func (r *discoveryResponse) encode() []byte {
	out := appendBytes(nil, 1, []byte(r.version))
	for _, resource := range r.resources {
		packed := appendBytes(appendBytes(nil, 1, []byte(r.typeURL)), 2, resource) // google.protobuf.Any
		out = appendBytes(out, 2, packed)
	}
	out = appendBytes(out, 4, []byte(r.typeURL))
	return appendBytes(out, 5, []byte(r.nonce))
}

// encodePair returns an envoy.extensions.transport_sockets.tls.v3.Secret with a certificate chain and its key.
func encodePair(name string, chain, key []byte) []byte {
	return appendBytes(encodeName(name), 2, appendBytes(appendBytes(nil, 1, inline(chain)), 2, inline(key)))
}

// encodeValidation returns an envoy.extensions.transport_sockets.tls.v3.Secret with the certificates of authorities and, when
// there are any, their revocation lists.
func encodeValidation(name string, roots, revoked []byte) []byte {
	context := appendBytes(nil, 1, inline(roots))
	if len(revoked) > 0 {
		context = appendBytes(context, 7, inline(revoked))
	}
	return appendBytes(encodeName(name), 4, context)
}

func encodeName(name string) []byte { return appendBytes(nil, 1, []byte(name)) }

// inline returns an envoy.config.core.v3.DataSource with inline_bytes.
func inline(data []byte) []byte { return appendBytes(nil, 2, data) }

func appendBytes(out []byte, number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(out, number, protowire.BytesType), value)
}
