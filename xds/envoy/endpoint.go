package envoy

import (
	"net/netip"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// endpoints adds the assignment of a cluster's endpoints. A cluster without any gets an empty one: without an answer it
// would never finish warming.
func (c *collector) endpoints(t target) {
	key := mesh.NewHash().Add("endpoints", t.name(), t.port.Key).Map(t.subset.GetLabels())
	c.add(key, t.service.Sources(), func(d *draft) { d.emit(resource.Endpoint, t.name(), assignment(t)) })
}

func assignment(t target) *endpointv3.ClusterLoadAssignment {
	locality := &endpointv3.LocalityLbEndpoints{}
	for _, e := range t.port.Endpoints {
		if (t.reachable(e.Address) || !isAddress(e.Address)) && mesh.Selects(t.subset.GetLabels(), e.Labels) {
			locality.LbEndpoints = append(locality.LbEndpoints, lbEndpoint(e))
		}
	}
	a := &endpointv3.ClusterLoadAssignment{ClusterName: t.name()}
	if len(locality.LbEndpoints) > 0 {
		a.Endpoints = append(a.Endpoints, locality)
	}
	return a
}

func isAddress(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}

func lbEndpoint(e mesh.Endpoint) *endpointv3.LbEndpoint {
	metadata := &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{}}
	if e.MTLS {
		metadata.FilterMetadata["envoy.transport_socket_match"] = tlsModeIstio()
	}
	if e.Workload != "" {
		metadata.FilterMetadata["istio"] = &structpb.Struct{Fields: map[string]*structpb.Value{"workload": structpb.NewStringValue(e.Workload)}}
	}
	var weight *wrapperspb.UInt32Value
	if e.Weight > 0 {
		weight = wrapperspb.UInt32(e.Weight)
	}
	return &endpointv3.LbEndpoint{
		LoadBalancingWeight: weight,
		HostIdentifier:      &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: socketAddress(e.Address, e.Port)}},
		Metadata:            metadata,
	}
}
