package envoy

import (
	"net/netip"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	dnsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dns/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// collectorCluster adds the way to a collector of spans or log entries. It does not depend on a Service: a listener whose collector has
// no cluster would be refused, so the cluster is there whether the collector is or not. Envoy's default limits (circuit breakers)
// stay: what a slow collector does not take is dropped.
func (c *collector) collectorCluster(name string, to mesh.Collector, grpc bool) {
	key := mesh.NewHash().Add("collector cluster", name, to.Host, to.Account).Uint(uint64(to.Port)).Bool(grpc)
	c.add(key, nil, func(d *draft) {
		cluster := newCollectorCluster(name, to, grpc)
		if to.Account != "" {
			cluster.TransportSocket = collectorSocket(spiffeID(c.scope.Settings.TrustDomain, to.Account))
		}
		d.emit(resource.Cluster, name, cluster)
	})
}

// collectorSocket is mutual TLS with the workload's own certificate, to a collector with the identity.
func collectorSocket(identity string) *corev3.TransportSocket {
	return upstreamSocket(&tlsv3.UpstreamTlsContext{
		MaxSessionKeys: noSessions(),
		CommonTlsContext: &tlsv3.CommonTlsContext{
			AlpnProtocols:                  []string{"h2"},
			TlsParams:                      tlsVersions(),
			TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{agentSecret(workloadSecret)},
			ValidationContextType: meshValidation([]*tlsv3.SubjectAltNameMatcher{uriMatcher(&matcherv3.StringMatcher{
				MatchPattern: &matcherv3.StringMatcher_Exact{Exact: identity},
			})}),
		},
	})
}

func newCollectorCluster(name string, to mesh.Collector, grpc bool) *clusterv3.Cluster {
	c := &clusterv3.Cluster{
		Name:                 name,
		ConnectTimeout:       seconds(5),
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		LoadAssignment: &endpointv3.ClusterLoadAssignment{ClusterName: name, Endpoints: []*endpointv3.LocalityLbEndpoints{{
			LbEndpoints: []*endpointv3.LbEndpoint{{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
				Endpoint: &endpointv3.Endpoint{Address: socketAddress(to.Host, to.Port)},
			}}},
		}}},
	}
	if _, err := netip.ParseAddr(to.Host); err != nil {
		c.ClusterDiscoveryType = &clusterv3.Cluster_ClusterType{ClusterType: &clusterv3.Cluster_CustomClusterType{
			Name: "envoy.cluster.dns", TypedConfig: pack(&dnsv3.DnsCluster{DnsRefreshRate: seconds(30), AllAddressesInSingleEndpoint: true}),
		}}
		c.WaitForWarmOnInit = wrapperspb.Bool(false) // a proxy starts without a DNS server too
	}
	if grpc {
		setUpstreamProtocol(c, mesh.HTTP2, nil)
	}
	return c
}
