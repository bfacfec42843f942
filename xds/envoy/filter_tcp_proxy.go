package envoy

import (
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
)

// tcpProxyFilter forwards a connection to a cluster.
func tcpProxyFilter(c *collector, context filterContext) *listenerv3.Filter {
	proxy := &tcpv3.TcpProxy{
		StatPrefix:       context.cluster,
		ClusterSpecifier: &tcpv3.TcpProxy_Cluster{Cluster: context.cluster},
		AccessLog:        c.accessLog(),
	}
	return &listenerv3.Filter{Name: "envoy.filters.network.tcp_proxy", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(proxy)}}
}
