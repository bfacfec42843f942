package envoy

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
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
func inboundMetadata(p mesh.InboundPort) *corev3.Metadata {
	return telemetryMetadata(map[string]string{"host": p.Host, "name": p.Name, "namespace": p.Namespace})
}

// fixedClusterMetadata names a cluster that stands for no service.
func fixedClusterMetadata(name string) *corev3.Metadata {
	return telemetryMetadata(map[string]string{"name": name})
}
