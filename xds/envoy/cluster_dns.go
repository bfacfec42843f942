package envoy

import (
	"net/netip"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	commondnsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/common/dns/v3"
	dnsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dns/v3"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// dnsRefreshSeconds is how long a name without a TTL, or one that cannot be found, is taken to be as it is.
const dnsRefreshSeconds = 30

// lookUp makes the proxy look up the names of the endpoints, with the DNS server of its pod. A name that cannot be found fails its own
// connections alone.
func (t target) lookUp(c *clusterv3.Cluster) {
	c.LoadAssignment = assignment(t)
	if len(c.LoadAssignment.Endpoints) == 0 { // as of a subset: Envoy rejects one that is to look up no name
		closeCluster(c)
		return
	}
	c.ClusterDiscoveryType = &clusterv3.Cluster_ClusterType{ClusterType: &clusterv3.Cluster_CustomClusterType{
		Name: "envoy.cluster.dns", TypedConfig: pack(&dnsv3.DnsCluster{
			DnsRefreshRate: seconds(dnsRefreshSeconds), RespectDnsTtl: true, DnsLookupFamily: t.family(),
			AllAddressesInSingleEndpoint: t.service.Resolution == mesh.ByFirstOfDNS,
		}),
	}}
	c.LbPolicy = clusterv3.Cluster_LEAST_REQUEST
}

// family is that of the addresses that the proxy can reach.
func (t target) family() commondnsv3.DnsLookupFamily {
	v4, v6 := t.reachable(netip.IPv4Unspecified().String()), t.reachable(netip.IPv6Unspecified().String())
	switch {
	case v4 && v6:
		return commondnsv3.DnsLookupFamily_ALL
	case v6:
		return commondnsv3.DnsLookupFamily_V6_ONLY
	}
	return commondnsv3.DnsLookupFamily_V4_ONLY
}
