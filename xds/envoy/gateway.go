package envoy

import (
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/mesh-operator/mesh-operator/internal/names"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/scope"
)

// gateway builds the resources of a router: one listener for each of its ports, with the servers of all Gateways on it.
func (c *collector) gateway() {
	for s := range c.scope.Gateway.Services.Values() {
		c.clusters(s)
		c.clientSecrets(s)
	}
	c.add(mesh.NewHash().Add("router clusters"), nil, func(d *draft) { d.emit(resource.Cluster, blackHoleCluster, emptyCluster()) })
	c.tracingClusters()
	c.logClusters()
	c.problems = append(c.problems, c.scope.Gateway.Problems...)
	for _, port := range c.scope.Gateway.Ports {
		c.refusals(port.Servers)
		if names.ProxyPorts[port.Number] {
			c.serverProblems(port.Servers, "port.number", "port "+number(port.Number)+" of the gateway is the proxy's own")
			continue
		}
		plain, secured := c.splitServers(port)
		c.serve(port.Number, plain, secured)
	}
}

// splitServers separates plaintext servers from TLS servers.
func (c *collector) splitServers(port scope.GatewayPort) (plain, secured []scope.Server) {
	for _, s := range port.Servers {
		switch kind := strings.ToUpper(s.Spec.GetPort().GetProtocol()); {
		case kind == "HTTP" || kind == "HTTP2" || kind == "GRPC":
			plain = append(plain, s)
		case kind == "HTTPS" && s.Spec.GetTls() != nil:
			secured = append(secured, s)
		default:
			c.serverProblem(s, "port.protocol", "protocol "+kind+" is not supported on gateways yet")
		}
	}
	return plain, secured
}

func (c *collector) serverProblems(servers []scope.Server, field, reason string) {
	for _, s := range servers {
		c.serverProblem(s, field, reason)
	}
}

func (c *collector) serverProblem(s scope.Server, field, reason string) {
	c.problems = append(c.problems, mesh.Problem{Object: s.Gateway.Object, Field: serverField(s, field), Reason: reason})
}

func serverField(s scope.Server, field string) string {
	return "spec.servers[" + number(uint32(s.Index)) + "]." + field
}

// refusals lists the hosts that an older Gateway reserves for other namespaces.
func (c *collector) refusals(servers []scope.Server) {
	for _, s := range servers {
		for _, r := range s.Refusals() {
			field := r.Field
			if r.Object == s.Gateway.Object {
				field = serverField(s, field)
			}
			c.problems = append(c.problems, mesh.Problem{Object: r.Object, Field: field, Reason: r.Host + " is kept for other namespaces by the older " + string(r.By)})
		}
	}
}

// serve makes the listener of a port. All plaintext servers share a filter chain, because their routes separate them by
// host; TLS servers have chains of their own. A port may have both, separated by the first bytes of a connection: no server
// can take the port from servers of the other kind.
func (c *collector) serve(port uint32, plain, secured []scope.Server) {
	chains, name := c.tlsChains(port, secured), "http."+number(port)
	if len(plain) > 0 {
		c.gatewayRoutes(name, plain, nil)
	}
	if len(plain)+len(chains) == 0 {
		return
	}
	key := mesh.NewHash().Add("gateway listener").Uint(uint64(port)).Bool(len(plain) > 0)
	var sources []resource.Object
	for _, chain := range chains {
		s := chain.servers[0]
		key.Add(s.Gateway.Key).Uint(uint64(s.Index)).List(chain.names)
		sources = append(sources, s.Gateway.Object)
	}
	c.addReporting(key, sortedObjects(sources), func(d *draft) {
		l := c.gatewayListener(port)
		if len(plain) > 0 {
			l.FilterChains = append(l.FilterChains, c.gatewayChain(name))
		}
		if len(chains) > 0 {
			l.ListenerFilters = []*listenerv3.ListenerFilter{tlsInspector()}
			l.ListenerFiltersTimeout = seconds(10)
		}
		if len(plain) > 0 && len(chains) > 0 {
			l.FilterChains[0].Name, l.FilterChains[0].FilterChainMatch = name, &listenerv3.FilterChainMatch{TransportProtocol: "raw_buffer"}
		}
		for _, chain := range chains {
			l.FilterChains = append(l.FilterChains, c.tlsChain(chain))
		}
		d.emit(resource.Listener, l.Name, l)
	})
}

func (c *collector) gatewayListener(port uint32) *listenerv3.Listener {
	l := &listenerv3.Listener{
		Name:                          c.wildcard() + "_" + number(port),
		Address:                       socketAddress(c.wildcard(), port),
		TrafficDirection:              corev3.TrafficDirection_OUTBOUND,
		PerConnectionBufferLimitBytes: wrapperspb.UInt32(32 << 10),
	}
	if c.scope.IPv6 && c.scope.IPv4 {
		l.AdditionalAddresses = []*listenerv3.AdditionalAddress{{Address: socketAddress("::", port)}}
	}
	return l
}

func (c *collector) gatewayChain(routes string) *listenerv3.FilterChain {
	m := withRoutes(c.startTraces(faceUntrustedClients(c.hcm(gatewayServer, "outbound_"+routes))), routes)
	return &listenerv3.FilterChain{Filters: c.httpChain(gatewayServer, "", m)}
}
