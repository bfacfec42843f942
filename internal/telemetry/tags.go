package telemetry

import "strings"

// The prefix and the tags of the metrics that pilot lets Envoy make. Envoy prints a tag as a label.
const (
	StatPrefix = "istio"

	TagReporter    = "reporter"    // Source or Destination
	TagProtocol    = "protocol"    // http, grpc or tcp
	TagDestination = "destination" // Peer.Pack of the server; only of reporter source
	TagSource      = "source"      // the subject of the client's certificate; only of reporter destination
	TagPrincipal   = "principal"   // the URI names of the other side's certificate
	TagService     = "service"     // host;name;namespace of the service, or ;name; of a fixed cluster
	TagResponse    = "response"    // code;flags;gRPC status; of TCP only the flags
	TagRemoved     = "removed"     // the labels that a Telemetry object removes, separated by ";"
	TagAdded       = "added_"      // before the name of a label that a Telemetry object adds
)

// Removed is the value of TagRemoved for labels.
func Removed(labels []string) string { return strings.Join(labels, separator) }

// The sides of a connection that report it.
const (
	Source      = "source"
	Destination = "destination"
)
