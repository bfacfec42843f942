package envoy

import (
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/scope"
)

// gateway builds what a router serves: one listener for each of its ports, with the servers of all Gateways on it.
func (c *collector) gateway() {
	for s := range c.scope.Gateway.Services.Values() {
		c.clusters(s)
		c.clientSecrets(s)
	}
	c.add(mesh.NewHash().Add("router clusters"), nil, func(d *draft) { d.emit(resource.Cluster, blackHoleCluster, emptyCluster()) })
	for _, port := range c.scope.Gateway.Ports {
		c.refusals(port.Servers)
		plain, secured := c.splitServers(port)
		switch {
		case ownPorts[port.Number]:
			c.serverProblems(port.Servers, "port.number", "port "+number(port.Number)+" of the gateway is the proxy's own")
		case len(plain) > 0:
			c.plainPort(port.Number, plain)
		case len(secured) > 0:
			c.securedPort(port.Number, secured)
		}
	}
}

// splitServers tells plaintext from TLS. Both cannot be on one port: the kind of the oldest server decides.
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
	if len(plain) > 0 && len(secured) > 0 {
		first := port.Servers[0]
		if first.Spec.GetTls() != nil && len(secured) > 0 && secured[0].Gateway == first.Gateway && secured[0].Index == first.Index {
			c.serverProblems(plain, "port", "port "+number(port.Number)+" of the gateway already serves HTTPS")
			return nil, secured
		}
		c.serverProblems(secured, "port", "port "+number(port.Number)+" of the gateway already serves plain HTTP")
		return plain, nil
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

// refusals tells whose hosts an older Gateway keeps for other namespaces.
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

// plainPort serves all plaintext servers of a port alike; their routes tell them apart by host.
func (c *collector) plainPort(port uint32, servers []scope.Server) {
	name := "http." + number(port)
	c.add(mesh.NewHash().Add("gateway listener").Uint(uint64(port)), nil, func(d *draft) {
		l := c.gatewayListener(port)
		l.FilterChains = []*listenerv3.FilterChain{c.gatewayChain(name)}
		d.emit(resource.Listener, l.Name, l)
	})
	c.gatewayRoutes(name, servers)
}

// securedPort gives each TLS server a filter chain, chosen by the name that the client asks for, and routes of its own. A
// server without a usable certificate has none; the others on the port are not affected.
func (c *collector) securedPort(port uint32, servers []scope.Server) {
	key := mesh.NewHash().Add("gateway tls listener").Uint(uint64(port))
	var sources []resource.Object
	var chains []tlsChain
	taken := map[string]bool{}
	for _, s := range servers {
		if !c.gatewaySecrets(s) {
			continue
		}
		names, ok := c.serverNames(s, taken)
		if !ok {
			continue
		}
		key.Add(s.Gateway.Key).Uint(uint64(s.Index)).List(names)
		sources = append(sources, s.Gateway.Object)
		routes := tlsRouteName(port, s)
		if c.routeNames[routes] { // two ports of one name lead to this one
			routes += "." + number(uint32(s.Index))
		}
		chains = append(chains, tlsChain{s, routes, names})
		c.gatewayRoutes(routes, []scope.Server{s})
	}
	if len(chains) == 0 {
		return
	}
	c.add(key, sortedObjects(sources), func(d *draft) {
		l := c.gatewayListener(port)
		l.ListenerFilters = []*listenerv3.ListenerFilter{tlsInspector()}
		l.ListenerFiltersTimeout = seconds(10)
		for _, chain := range chains {
			l.FilterChains = append(l.FilterChains, c.tlsChain(chain))
		}
		d.emit(resource.Listener, l.Name, l)
	})
}

// tlsChain is a server with the names it answers to.
type tlsChain struct {
	server scope.Server
	routes string
	names  []string
}

func (c *collector) tlsChain(t tlsChain) *listenerv3.FilterChain {
	chain := c.gatewayChain(t.routes)
	chain.Name = t.routes
	chain.FilterChainMatch = &listenerv3.FilterChainMatch{TransportProtocol: "tls", ServerNames: t.names}
	chain.TransportSocket = downstreamSocket(serverContext(t.server))
	chain.TransportSocketConnectTimeout = seconds(15)
	return chain
}

func tlsRouteName(port uint32, s scope.Server) string {
	return "https." + number(port) + "." + s.Spec.GetPort().GetName() + "." + s.Gateway.Name + "." + s.Gateway.Namespace
}

// serverNames lists the names a server answers to; nil is any. A name that an older server has is not given twice.
func (c *collector) serverNames(s scope.Server, taken map[string]bool) ([]string, bool) {
	var names []string
	for _, host := range s.Hosts {
		host = mesh.HostPart(host)
		if slices.Contains(names, host) { // for two namespaces
			continue
		}
		if taken[host] {
			c.serverProblem(s, "hosts", host+" belongs to an older server on the same port")
			continue
		}
		taken[host] = true
		names = append(names, host)
	}
	if slices.Contains(names, "*") {
		return nil, true
	}
	return names, len(names) > 0
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
	m := withRoutes(faceUntrustedClients(c.hcm("outbound_"+routes)), routes)
	return &listenerv3.FilterChain{Filters: c.httpChain(gatewayServer, "", m)}
}

// serverContext is the server side of TLS for clients outside of the mesh.
func serverContext(s scope.Server) *tlsv3.DownstreamTlsContext {
	name := mesh.CredentialName(s.Spec.GetTls())
	context := &tlsv3.DownstreamTlsContext{
		RequireClientCertificate: wrapperspb.Bool(s.Spec.GetTls().GetMode() == networking.ServerTLSSettings_MUTUAL),
		CommonTlsContext: &tlsv3.CommonTlsContext{
			AlpnProtocols:                  []string{"h2", "http/1.1"},
			TlsParams:                      tlsVersions(),
			TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{pilotSecret(pairScheme + name)},
		},
	}
	if s.Spec.GetTls().GetMode() == networking.ServerTLSSettings_MUTUAL {
		context.SessionTicketKeysType = &tlsv3.DownstreamTlsContext_DisableStatelessSessionResumption{DisableStatelessSessionResumption: true}
		context.DisableStatefulSessionResumption = true
		context.CommonTlsContext.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig{
			ValidationContextSdsSecretConfig: pilotSecret(authoritiesScheme + name),
		}
	}
	return context
}
