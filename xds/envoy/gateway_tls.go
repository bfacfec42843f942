package envoy

import (
	"slices"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/scope"
)

// tlsChain is the filter chain of a TLS server, chosen by the name that the client asks for. Younger servers with the same
// TLS settings for one of its names add their routes.
type tlsChain struct {
	servers []scope.Server // oldest first
	routes  string         // name of the route configuration
	names   []string
	any     bool // every name
}

// tlsChains assigns the names of a port's TLS servers, oldest first, and adds the routes and Secrets of their chains. A
// server without a usable certificate has no chain; the others on the port are not affected.
func (c *collector) tlsChains(port uint32, servers []scope.Server) []*tlsChain {
	var chains []*tlsChain
	owners := map[string]*tlsChain{}
	for _, s := range servers {
		if !c.gatewaySecrets(s) {
			continue
		}
		if chain := c.assignNames(s, owners); len(chain.names) > 0 {
			chain.routes = c.tlsRouteName(port, s)
			chains = append(chains, chain)
		}
	}
	for _, chain := range chains {
		c.gatewayRoutes(chain.routes, chain.servers, misdirected(chain, chains))
	}
	return chains
}

func (c *collector) tlsRouteName(port uint32, s scope.Server) string {
	name := "https." + number(port) + "." + s.Spec.GetPort().GetName() + "." + s.Gateway.Name + "." + s.Gateway.Namespace
	if c.routeNames[name] { // two ports of one name lead to this one
		name += "." + number(uint32(s.Index))
	}
	c.routeNames[name] = true
	return name
}

// assignNames gives a server the names that no older one has. For a name of an older server with the same TLS settings the
// routes of both hold, as they do for plain HTTP.
func (c *collector) assignNames(s scope.Server, owners map[string]*tlsChain) *tlsChain {
	chain := &tlsChain{servers: []scope.Server{s}}
	for _, host := range s.Hosts {
		name := mesh.HostPart(host)
		switch owner := owners[name]; {
		case owner == chain: // the host is for two namespaces
		case owner == nil:
			owners[name] = chain
			chain.names = append(chain.names, name)
			chain.any = chain.any || name == "*"
		case proto.Equal(owner.servers[0].Spec.GetTls(), s.Spec.GetTls()):
			owner.join(s)
		default:
			c.serverProblem(s, "hosts", name+" belongs to an older server on the same port, with other TLS settings")
		}
	}
	return chain
}

func (t *tlsChain) join(s scope.Server) {
	if last := t.servers[len(t.servers)-1]; last.Gateway != s.Gateway || last.Index != s.Index {
		t.servers = append(t.servers, s)
	}
}

// misdirected lists the names that other chains of the port have. A client may send requests for them on a connection of
// this chain, because the certificate covers them too (RFC 9113 section 9.1.1); 421 makes it open another.
func misdirected(chain *tlsChain, all []*tlsChain) []string {
	var names []string
	for _, other := range all {
		for _, name := range other.names {
			if !slices.Contains(chain.names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

func (c *collector) tlsChain(t *tlsChain) *listenerv3.FilterChain {
	chain := c.gatewayChain(t.routes)
	chain.Name = t.routes
	chain.FilterChainMatch = &listenerv3.FilterChainMatch{TransportProtocol: "tls", ServerNames: t.names}
	if t.any {
		chain.FilterChainMatch.ServerNames = nil
	}
	chain.TransportSocket = downstreamSocket(serverContext(t.servers[0]))
	chain.TransportSocketConnectTimeout = seconds(15)
	return chain
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
