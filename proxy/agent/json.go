package agent

import (
	"strconv"
	"time"
)

// object is a message in the JSON form of protobuf, with the field names of the .proto files. The bootstrap is written in
// this form because Go types for Envoy's messages would cost every pod of the mesh about 10 MB of memory; the tests decode it
// with those types and give it to a real Envoy.
type object map[string]any

// extension is the configuration of an Envoy extension: the JSON form of google.protobuf.Any.
func extension(message string, fields object) object {
	out := object{"@type": "type.googleapis.com/" + message}
	for name, value := range fields {
		out[name] = value
	}
	return out
}

// duration is the JSON form of google.protobuf.Duration.
func duration(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + "s"
}

// socketAddress is the JSON form of envoy.config.core.v3.Address.
func socketAddress(host string, port uint32) object {
	return object{"socket_address": object{"address": host, "port_value": port}}
}
