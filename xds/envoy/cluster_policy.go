package envoy

import (
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

const httpProtocolOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

// trafficPolicy is the traffic policy of one cluster.
type trafficPolicy struct {
	LoadBalancer     *networking.LoadBalancerSettings
	ConnectionPool   *networking.ConnectionPoolSettings
	OutlierDetection *networking.OutlierDetection
	Tls              *networking.ClientTLSSettings
}

// policyFor overrides the host's policy by the subset's, group by group. Port settings stand alone: groups that they leave
// out are not inherited.
func policyFor(t target) trafficPolicy {
	var p trafficPolicy
	if t.service.Rule != nil {
		p.overlay(t.service.Rule.Policy, t.port.Number)
	}
	p.overlay(t.subset.GetTrafficPolicy(), t.port.Number)
	return p
}

func (p *trafficPolicy) overlay(from *networking.TrafficPolicy, port uint32) {
	if from == nil {
		return
	}
	for _, s := range from.PortLevelSettings {
		if s.GetPort().GetNumber() == port {
			*p = trafficPolicy{s.LoadBalancer, s.ConnectionPool, s.OutlierDetection, s.Tls}
			return
		}
	}
	p.LoadBalancer = either(from.LoadBalancer, p.LoadBalancer)
	p.ConnectionPool = either(from.ConnectionPool, p.ConnectionPool)
	p.OutlierDetection = either(from.OutlierDetection, p.OutlierDetection)
	p.Tls = either(from.Tls, p.Tls)
}

func either[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

func applyPool(c *clusterv3.Cluster, pool *networking.ConnectionPoolSettings) {
	limits := c.CircuitBreakers.Thresholds[0]
	limit := func(field **wrapperspb.UInt32Value, n int32) {
		if n > 0 {
			*field = wrapperspb.UInt32(uint32(n))
		}
	}
	limit(&limits.MaxConnections, pool.GetTcp().GetMaxConnections())
	limit(&limits.MaxPendingRequests, pool.GetHttp().GetHttp1MaxPendingRequests())
	limit(&limits.MaxRequests, pool.GetHttp().GetHttp2MaxRequests())
	limit(&limits.MaxRetries, pool.GetHttp().GetMaxRetries())
	if t := pool.GetTcp().GetConnectTimeout(); t.AsDuration() > 0 {
		c.ConnectTimeout = t
	}
	if k := pool.GetTcp().GetTcpKeepalive(); k != nil {
		alive := &corev3.TcpKeepalive{}
		if k.Probes > 0 {
			alive.KeepaliveProbes = wrapperspb.UInt32(k.Probes)
		}
		if s := k.GetTime().GetSeconds(); s > 0 {
			alive.KeepaliveTime = wrapperspb.UInt32(uint32(s))
		}
		if s := k.GetInterval().GetSeconds(); s > 0 {
			alive.KeepaliveInterval = wrapperspb.UInt32(uint32(s))
		}
		c.UpstreamConnectionOptions = &clusterv3.UpstreamConnectionOptions{TcpKeepalive: alive}
	}
}

// setUpstreamProtocol sets the protocol to the endpoints: the one that the port declares.
func setUpstreamProtocol(c *clusterv3.Cluster, protocol mesh.Protocol, pool *networking.ConnectionPoolSettings_HTTPSettings) {
	if !protocol.IsHTTP() {
		return
	}
	if protocol == mesh.AnyHTTP {
		useDownstreamProtocol(c)
		return
	}
	options := &httpv3.HttpProtocolOptions{}
	explicit := &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
		ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{HttpProtocolOptions: &corev3.Http1ProtocolOptions{}},
	}
	if protocol.IsHTTP2() {
		explicit.ProtocolConfig = &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{Http2ProtocolOptions: http2Options()}
	}
	options.UpstreamProtocolOptions = &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: explicit}
	common := upstreamOptions()
	common.IdleTimeout = pool.GetIdleTimeout()
	if n := pool.GetMaxRequestsPerConnection(); n > 0 {
		common.MaxRequestsPerConnection = wrapperspb.UInt32(uint32(n))
	}
	options.CommonHttpProtocolOptions = common
	c.TypedExtensionProtocolOptions = map[string]*anypb.Any{httpProtocolOptions: pack(options)}
}

// useDownstreamProtocol uses the client's protocol to the server, for servers without a declared protocol.
func useDownstreamProtocol(c *clusterv3.Cluster) {
	c.TypedExtensionProtocolOptions = map[string]*anypb.Any{httpProtocolOptions: pack(&httpv3.HttpProtocolOptions{
		CommonHttpProtocolOptions: upstreamOptions(),
		UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_UseDownstreamProtocolConfig{
			UseDownstreamProtocolConfig: &httpv3.HttpProtocolOptions_UseDownstreamHttpConfig{
				HttpProtocolOptions: &corev3.Http1ProtocolOptions{}, Http2ProtocolOptions: http2Options(),
			},
		},
	})}
}

// http2Options bounds the memory that one peer can make a proxy use.
func http2Options() *corev3.Http2ProtocolOptions {
	return &corev3.Http2ProtocolOptions{
		MaxConcurrentStreams:        wrapperspb.UInt32(1024),
		InitialStreamWindowSize:     wrapperspb.UInt32(1 << 20),
		InitialConnectionWindowSize: wrapperspb.UInt32(4 << 20),
	}
}

// applyOutlierDetection ejects endpoints that fail. While it does, traffic stays on the endpoints that are left, unless
// the user sets a percentage below which all are used again.
func applyOutlierDetection(c *clusterv3.Cluster, o *networking.OutlierDetection) {
	if o == nil {
		return
	}
	out := &clusterv3.OutlierDetection{
		Interval: o.Interval, BaseEjectionTime: o.BaseEjectionTime,
		EnforcingSuccessRate: wrapperspb.UInt32(0), SplitExternalLocalOriginErrors: o.SplitExternalLocalOriginErrors,
	}
	if o.SplitExternalLocalOriginErrors {
		out.EnforcingLocalOriginSuccessRate = wrapperspb.UInt32(0)
	}
	if o.BaseEjectionTime.AsDuration() > seconds(300).AsDuration() {
		out.MaxEjectionTime = o.BaseEjectionTime // Envoy's maximum of 300 s would cut it short
	}
	if n := o.GetConsecutive_5XxErrors(); n != nil {
		out.Consecutive_5Xx, out.EnforcingConsecutive_5Xx = countOf(n)
	}
	if n := o.GetConsecutiveGatewayErrors(); n != nil {
		out.ConsecutiveGatewayFailure, out.EnforcingConsecutiveGatewayFailure = countOf(n)
	}
	if n := o.GetConsecutiveLocalOriginFailures(); n != nil {
		out.ConsecutiveLocalOriginFailure, out.EnforcingConsecutiveLocalOriginFailure = countOf(n)
	}
	if o.MaxEjectionPercent > 0 {
		out.MaxEjectionPercent = wrapperspb.UInt32(uint32(o.MaxEjectionPercent))
	}
	c.OutlierDetection = out
	c.CommonLbConfig.HealthyPanicThreshold = &typev3.Percent{Value: float64(max(o.MinHealthPercent, 0))}
}

// countOf is a threshold and whether it is enforced; zero switches it off: Envoy then enforces 0 percent.
func countOf(n *wrapperspb.UInt32Value) (count, enforcing *wrapperspb.UInt32Value) {
	if n.Value == 0 {
		return nil, wrapperspb.UInt32(0)
	}
	return wrapperspb.UInt32(n.Value), wrapperspb.UInt32(100)
}

// applyLoadBalancer sets how an endpoint is chosen. What a rule says counts more than the affinity that the Service asks for.
func applyLoadBalancer(c *clusterv3.Cluster, lb *networking.LoadBalancerSettings, affinity bool) {
	switch strings.ToUpper(lb.GetSimple().String()) {
	case "ROUND_ROBIN":
		c.LbPolicy = clusterv3.Cluster_ROUND_ROBIN
	case "RANDOM":
		c.LbPolicy = clusterv3.Cluster_RANDOM
	case "UNSPECIFIED":
		c.LbPolicy = clusterv3.Cluster_LEAST_REQUEST
		if affinity {
			c.LbPolicy = clusterv3.Cluster_RING_HASH
		}
	default: // LEAST_REQUEST and its old name LEAST_CONN
		c.LbPolicy = clusterv3.Cluster_LEAST_REQUEST
	}
}
