package telemetry

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

const unknown = "unknown"

// LabelNames are the labels of Istio's metrics, in their usual order.
var LabelNames = []string{
	"reporter",
	"source_workload", "source_workload_namespace", "source_principal", "source_app", "source_version", "source_canonical_service",
	"source_canonical_revision", "source_cluster",
	"destination_workload", "destination_workload_namespace", "destination_principal", "destination_app", "destination_version",
	"destination_canonical_service", "destination_canonical_revision", "destination_cluster",
	"destination_service", "destination_service_name", "destination_service_namespace",
	"request_protocol", "response_code", "grpc_response_status", "response_flags", "connection_security_policy",
}

// Own is the workload whose proxy makes the metrics.
type Own struct {
	Peer
	Principal string // spiffe://...
}

// tags are the labels of one metric as Envoy prints them, by name.
type tags map[string]string

// end is one side of a request.
type end struct {
	Peer
	principal string
}

// labels returns the labels of Istio's metrics, in their usual order and in the text format of Prometheus.
func (own Own) labels(t tags) string {
	b := builder{removed: t[TagRemoved]}
	source, destination := end{Peer: own.Fit()}, end{Peer: own.Fit()}
	reporter, policy := t[TagReporter], unknown
	if reporter == Destination {
		source.Peer, source.principal = FromCertificate(t[TagSource], t[TagPrincipal])
		policy = "none"
		if source.principal != "" {
			policy, destination.principal = "mutual_tls", own.Principal
		}
	} else {
		destination.Peer, _ = Unpack(t[TagDestination])
		if principal := t[TagPrincipal]; principal != none && principal != "" {
			destination.principal, source.principal = principal, own.Principal
		}
	}
	b.add("reporter", reporter)
	b.end("source", source)
	b.end("destination", destination)
	b.service(t[TagService])
	b.add("request_protocol", t[TagProtocol])
	b.response(t[TagProtocol], t[TagResponse])
	b.add("connection_security_policy", policy)
	b.added(t)
	return b.String()
}

type builder struct {
	strings.Builder
	removed string // labels, separated by separator
}

// added writes the labels that a Telemetry object adds.
func (b *builder) added(t tags) {
	for _, name := range slices.Sorted(maps.Keys(t)) {
		if label, ok := strings.CutPrefix(name, TagAdded); ok {
			value := t[name]
			if value == none {
				value = ""
			}
			b.add(label, value)
		}
	}
}

// add writes a label; an empty value is unknown.
func (b *builder) add(name, value string) {
	if b.removed != "" && slices.Contains(strings.Split(b.removed, separator), name) {
		return
	}
	if value == "" {
		value = unknown
	}
	if b.Len() > 0 {
		b.WriteByte(',')
	}
	fmt.Fprintf(b, `%s="%s"`, name, escape.Replace(value))
}

// escape is for a label's value in the text format of Prometheus.
var escape = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

// end writes the labels of one side. App and version are the canonical ones, which the pod's labels of these names set.
func (b *builder) end(side string, e end) {
	cluster := ""
	if e.Workload != "" {
		cluster = Cluster
	}
	b.add(side+"_workload", e.Workload)
	b.add(side+"_workload_namespace", e.Namespace)
	b.add(side+"_principal", e.principal)
	b.add(side+"_app", e.Service)
	b.add(side+"_version", e.Revision)
	b.add(side+"_canonical_service", e.Service)
	b.add(side+"_canonical_revision", e.Revision)
	b.add(side+"_cluster", cluster)
}

func (b *builder) service(packed string) {
	parts := strings.Split(packed, separator)
	for len(parts) < 3 {
		parts = append(parts, "")
	}
	for i, label := range []string{"destination_service", "destination_service_name", "destination_service_namespace"} {
		if parts[i] == none {
			parts[i] = ""
		}
		b.add(label, parts[i])
	}
}

// response writes what a request has and a TCP connection has not: a code and, of gRPC, a status.
func (b *builder) response(protocol, packed string) {
	if protocol == "tcp" {
		b.add("response_flags", packed)
		return
	}
	parts := strings.Split(packed, separator)
	for len(parts) < 3 {
		parts = append(parts, "")
	}
	b.add("response_code", parts[0])
	if protocol == "grpc" {
		b.add("grpc_response_status", grpcStatus(parts[2]))
	}
	b.add("response_flags", parts[1])
}

// grpcStatus returns a status that gRPC defines, 0 to 16. A server may send any number: all others are one label.
func grpcStatus(text string) string {
	switch {
	case text == none || text == "":
		return ""
	case len(text) == 1 && text[0] >= '0' && text[0] <= '9', len(text) == 2 && text[0] == '1' && text[1] >= '0' && text[1] <= '6':
		return text
	}
	return "2" // UNKNOWN (grpc/grpc doc/statuscodes.md)
}
