package envoy

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// fixedClusters adds the clusters that every sidecar has.
func (c *collector) fixedClusters() {
	from := c.inboundBind()
	c.add(mesh.NewHash().Add("fixed clusters"), nil, func(d *draft) {
		through := originalCluster(passthroughCluster, nil)
		useDownstreamProtocol(through)
		d.emit(resource.Cluster, passthroughCluster, through)
		d.emit(resource.Cluster, inboundPassthroughCluster, originalCluster(inboundPassthroughCluster, from))
		d.emit(resource.Cluster, blackHoleCluster, emptyCluster())
	})
}

// inboundClusters adds the way from the proxy to each port of its workload.
func (c *collector) inboundClusters() {
	from := c.inboundBind()
	for _, p := range c.scope.Inbound.Ports {
		if p.Host == "" {
			continue
		}
		name := inboundName(p.Port)
		c.add(mesh.NewHash().Add("inbound cluster", name, string(p.Protocol), p.Host, p.Name, p.Namespace), p.Sources, func(d *draft) {
			cluster := originalCluster(name, from)
			cluster.Metadata = inboundMetadata(p)
			setUpstreamProtocol(cluster, p.Protocol, nil)
			d.emit(resource.Cluster, name, cluster)
		})
	}
}

// originalCluster connects to the original destination of a redirected connection.
func originalCluster(name string, from *corev3.BindConfig) *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name:                 name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_ORIGINAL_DST},
		LbPolicy:             clusterv3.Cluster_CLUSTER_PROVIDED,
		ConnectTimeout:       seconds(10),
		CircuitBreakers:      unlimited(),
		UpstreamBindConfig:   from,
		Metadata:             fixedClusterMetadata(name),
	}
}

// emptyCluster has no endpoints: connections to it are refused.
func emptyCluster() *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name:                 blackHoleCluster,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		ConnectTimeout:       seconds(10),
		Metadata:             fixedClusterMetadata(blackHoleCluster),
	}
}

// inboundBind is the source address by which the redirection recognises the proxy's own connections to the workload.
func (c *collector) inboundBind() *corev3.BindConfig {
	address := func(a string) *corev3.SocketAddress {
		return &corev3.SocketAddress{Address: a, PortSpecifier: &corev3.SocketAddress_PortValue{}}
	}
	if c.scope.IPv6 && !c.scope.IPv4 {
		return &corev3.BindConfig{SourceAddress: address(inboundSource6)}
	}
	bind := &corev3.BindConfig{SourceAddress: address(inboundSource)}
	if c.scope.IPv6 {
		bind.ExtraSourceAddresses = []*corev3.ExtraSourceAddress{{Address: address(inboundSource6)}}
	}
	return bind
}
