package envoy

import (
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// tcpProxyFilter forwards a connection to a cluster.
func tcpProxyFilter(c *collector, context filterContext) *listenerv3.Filter {
	proxy := &tcpv3.TcpProxy{
		StatPrefix:       context.cluster,
		ClusterSpecifier: &tcpv3.TcpProxy_Cluster{Cluster: context.cluster},
		AccessLog:        append(connectionEnds(c.accessLog(context.kind)), c.metricsOf(context.kind).tcp...),
		// For the metrics: a connection counts as opened while it lasts.
		AccessLogOptions: &tcpv3.TcpProxy_TcpAccessLogOptions{FlushAccessLogOnConnected: true},
	}
	if context.affinity {
		proxy.HashPolicy = connectionAffinity()
	}
	if context.kind == sidecarInbound {
		// The client has proven its identity before the proxy connects to the workload, and before the metrics count the connection as
		// opened. Without TLS the proxy connects at once.
		proxy.UpstreamConnectMode = tcpv3.UpstreamConnectMode_ON_DOWNSTREAM_TLS_HANDSHAKE
		proxy.MaxEarlyDataBytes = wrapperspb.UInt32(0)
	}
	return &listenerv3.Filter{Name: "envoy.filters.network.tcp_proxy", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(proxy)}}
}
