package envoy

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/mesh-operator/mesh-operator/internal/names"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// markers are what clients of the mesh offer as a protocol, so that a permissive port can tell mutual TLS of the mesh from
// TLS that the workload speaks itself.
var markers = []string{"istio-http/1.0", "istio-http/1.1", "istio-h2", "istio", "istio-peer-exchange"}

// inbound adds the listener that the redirection sends all incoming connections to, and its clusters.
func (c *collector) inbound() {
	c.inboundClusters()
	in := c.scope.Inbound
	c.problems = append(c.problems, in.Problems...)
	sources := append([]resource.Object(nil), in.Policies...)
	for _, p := range in.Ports {
		sources = append(sources, p.Sources...)
	}
	c.addReporting(mesh.NewHash().Add("virtualInbound", in.Key), sortedObjects(sources), func(d *draft) {
		l := c.virtualInbound()
		d.emit(resource.Listener, l.Name, l)
	})
}

// virtualInbound has the filter chains of each known port, and those for every other port, which are protected alike.
func (c *collector) virtualInbound() *listenerv3.Listener {
	l := &listenerv3.Listener{
		Name:                             "virtualInbound",
		Address:                          socketAddress(c.wildcard(), names.InboundPort),
		TrafficDirection:                 corev3.TrafficDirection_INBOUND,
		ListenerFiltersTimeout:           seconds(5),
		ContinueOnListenerFiltersTimeout: true,
	}
	if c.scope.IPv6 && c.scope.IPv4 {
		l.AdditionalAddresses = []*listenerv3.AdditionalAddress{{Address: socketAddress("::", names.InboundPort)}}
	}
	l.FilterChains = []*listenerv3.FilterChain{{
		Name:             "virtualInbound-blackhole",
		FilterChainMatch: &listenerv3.FilterChainMatch{DestinationPort: wrapperspb.UInt32(names.InboundPort)},
		Filters:          c.tcpChain(sidecarInbound, blackHoleCluster),
	}}
	var plain []uint32
	for _, p := range c.scope.Inbound.Ports {
		if p.Port == names.InboundPort {
			continue
		}
		l.FilterChains = append(l.FilterChains, c.inboundChains(p)...)
		if p.Mode == mesh.Disable {
			plain = append(plain, p.Port)
		}
	}
	unclaimed := mesh.InboundPort{Protocol: mesh.TCP, Mode: c.scope.Inbound.DefaultMode}
	l.FilterChains = append(l.FilterChains, c.inboundChains(unclaimed)...)
	inspector := tlsInspector()
	inspector.FilterDisabled = skipOn(plain) // the server may speak first there
	l.ListenerFilters = []*listenerv3.ListenerFilter{originalDst(), inspector}
	l.AccessLog = refusals(c.accessLog(sidecarInbound))
	return l
}

// inboundChains are the filter chains of one port; port zero stands for all that are not listed.
//
//	            tls with a marker   plaintext   other tls
//	STRICT      mutual TLS          closed      mutual TLS, which it fails
//	PERMISSIVE  mutual TLS          accepted    TCP: the workload's own; HTTP: closed
//	DISABLE     accepted            accepted    accepted
func (c *collector) inboundChains(p mesh.InboundPort) []*listenerv3.FilterChain {
	secured := func(match *listenerv3.FilterChainMatch) *listenerv3.FilterChain {
		alpn := []string{"h2", "http/1.1"}
		if !p.Protocol.IsHTTP() {
			alpn = nil
		}
		chain := c.inboundChain(p, "mtls", match, true)
		chain.TransportSocket = downstreamSocket(meshServer(c.scope.Settings.TrustDomain, alpn))
		chain.TransportSocketConnectTimeout = seconds(15)
		return chain
	}
	switch p.Mode {
	case mesh.Disable:
		return []*listenerv3.FilterChain{c.inboundChain(p, "plain", &listenerv3.FilterChainMatch{}, false)}
	case mesh.Permissive:
		chains := []*listenerv3.FilterChain{
			secured(&listenerv3.FilterChainMatch{TransportProtocol: "tls", ApplicationProtocols: markers}),
			c.inboundChain(p, "plain", &listenerv3.FilterChainMatch{TransportProtocol: "raw_buffer"}, false),
		}
		if !p.Protocol.IsHTTP() {
			chains = append(chains, c.inboundChain(p, "tls", &listenerv3.FilterChainMatch{TransportProtocol: "tls"}, false))
		}
		return chains
	}
	return []*listenerv3.FilterChain{secured(&listenerv3.FilterChainMatch{TransportProtocol: "tls"})}
}

func (c *collector) inboundChain(p mesh.InboundPort, kind string, match *listenerv3.FilterChainMatch, mutual bool) *listenerv3.FilterChain {
	name := "virtualInbound"
	if p.Port != 0 {
		match.DestinationPort = wrapperspb.UInt32(p.Port)
		name = "0.0.0.0_" + number(p.Port)
	}
	chain := &listenerv3.FilterChain{Name: name + "-" + kind, FilterChainMatch: match}
	switch {
	case p.Host == "":
		chain.Filters = c.tcpChain(sidecarInbound, inboundPassthroughCluster)
	case p.Protocol.IsHTTP():
		m := faceWorkloadClients(c.hcm(sidecarInbound, "inbound_"+name), mutual)
		m.HttpProtocolOptions.DefaultHostForHttp_10 = p.Host
		chain.Filters = c.httpChain(sidecarInbound, p.Protocol, withInline(m, inboundRoutes(p)))
	default:
		chain.Filters = c.tcpChain(sidecarInbound, inboundName(p.Port))
	}
	return chain
}

// inboundRoutes sends every request to the workload. It retries once if the workload closes an idle connection at that time.
func inboundRoutes(p mesh.InboundPort) *routev3.RouteConfiguration {
	return &routev3.RouteConfiguration{
		Name:             "inbound|" + number(p.ServicePort) + "||",
		ValidateClusters: wrapperspb.Bool(false),
		VirtualHosts: []*routev3.VirtualHost{{
			Name:    "inbound|http|" + number(p.ServicePort),
			Domains: []string{"*"},
			Routes: []*routev3.Route{{
				Name:      "default",
				Match:     &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
				Decorator: &routev3.Decorator{Operation: p.Host + ":" + number(p.ServicePort) + "/*"},
				Action: &routev3.Route_Route{Route: &routev3.RouteAction{
					ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: inboundName(p.Port)},
					Timeout:          seconds(0),
					RetryPolicy:      &routev3.RetryPolicy{RetryOn: "reset-before-request", NumRetries: wrapperspb.UInt32(2)},
				}},
			}},
		}},
	}
}

func portRange(p uint32) *typev3.Int32Range {
	return &typev3.Int32Range{Start: int32(p), End: int32(p) + 1}
}
