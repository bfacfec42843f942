package envoy

import (
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

// telemetryMetadata is metadata of a cluster or endpoint that telemetry reads.
func telemetryMetadata(values map[string]string) *corev3.Metadata {
	fields := map[string]*structpb.Value{}
	for name, value := range values {
		fields[name] = structpb.NewStringValue(value)
	}
	return &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{"istio": {Fields: fields}}}
}

// clusterMetadata names the service of an outbound cluster.
func clusterMetadata(t target) *corev3.Metadata {
	return telemetryMetadata(map[string]string{
		"host": t.service.Host, "name": t.service.Name, "namespace": t.service.Namespace, "subset": t.subset.GetName(),
	})
}

// inboundMetadata names the service through which clients reach the workload's port.
func inboundMetadata(host string) *corev3.Metadata {
	name, rest, _ := strings.Cut(host, ".")
	namespace, _, _ := strings.Cut(rest, ".")
	return telemetryMetadata(map[string]string{"host": host, "name": name, "namespace": namespace})
}

// fixedClusterMetadata names a cluster that stands for no service.
func fixedClusterMetadata(name string) *corev3.Metadata {
	return telemetryMetadata(map[string]string{"name": name})
}
