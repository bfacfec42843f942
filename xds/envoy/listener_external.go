package envoy

import (
	"net/netip"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/mesh-operator/mesh-operator/internal/names"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/scope"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

// sharedChain is a filter chain of the listener for all addresses of a port: connections of a ServiceEntry's port that does not
// speak HTTP and has no single address. It is immutable.
type sharedChain struct {
	port   uint32
	age    string // of the service
	object resource.Object
	what   string // the connections it is for, of which no other chain of the port may be: Envoy rejects a listener with two for one
	chain  *listenerv3.FilterChain
	reads  bool // the server name decides, so the client must speak first
	key    string
}

// portChains adds the chains of a service's port: for each block of addresses; without any address, for the host as TLS clients name
// it, or for all connections that no other chain is for.
func (c *collector) portChains(s *scope.Service, p *mesh.Port) {
	var matches []*listenerv3.FilterChainMatch
	switch {
	case len(s.Addresses)+len(s.Ranges) > 0:
		matches = c.rangeMatches(s.Ranges)
	case p.Protocol == mesh.TLS:
		matches = append(matches, &listenerv3.FilterChainMatch{TransportProtocol: "tls", ServerNames: []string{s.Host}})
	default:
		matches = append(matches, nil)
	}
	if names.ProxyPorts[p.Number] {
		if len(matches) > 0 {
			const reason = " is the proxy's own: connections to it cannot be redirected to a host without an address"
			c.problems = append(c.problems, mesh.Problem{Object: s.Object, Field: "spec.ports", Reason: "port " + number(p.Number) + reason})
		}
		return
	}
	cluster := outboundName(p.Number, "", s.Host)
	for _, match := range matches {
		chain := &listenerv3.FilterChain{
			Name: cluster, FilterChainMatch: match,
			Filters: c.networkFilters(filterContext{kind: sidecarOutbound, cluster: cluster}),
		}
		c.chains = append(c.chains, &sharedChain{
			port: p.Number, age: s.Age(), object: s.Object, what: describe(match), chain: chain,
			reads: len(match.GetServerNames()) > 0, key: mesh.NewHash().Message(chain).Key(),
		})
	}
}

func (c *collector) rangeMatches(ranges []netip.Prefix) []*listenerv3.FilterChainMatch {
	var matches []*listenerv3.FilterChainMatch
	for _, r := range ranges {
		if c.reachable(r.Addr().String()) {
			matches = append(matches, &listenerv3.FilterChainMatch{PrefixRanges: []*corev3.CidrRange{{
				AddressPrefix: r.Addr().String(), PrefixLen: wrapperspb.UInt32(uint32(r.Bits())),
			}}})
		}
	}
	return matches
}

// describe says which connections a chain is for.
func describe(match *listenerv3.FilterChainMatch) string {
	switch {
	case len(match.GetServerNames()) > 0:
		return match.ServerNames[0]
	case len(match.GetPrefixRanges()) > 0:
		return match.PrefixRanges[0].AddressPrefix + "/" + number(match.PrefixRanges[0].PrefixLen.GetValue())
	}
	return "every address"
}

// replaceChains replaces the chains of a service.
func (s *Shared) replaceChains(before, now []*sharedChain) {
	for _, x := range before {
		s.chains = s.chains.Without(number(x.port), x.age+" "+x.what)
	}
	for _, x := range now {
		s.chains = s.chains.With(number(x.port), x.age+" "+x.what, x)
	}
}

// claimChains lists the chains of a port. Of two for the same connections the older service has them.
func (c *collector) claimChains(all table.Table[*sharedChain]) []*sharedChain {
	var chains []*sharedChain
	owners := map[string]*sharedChain{}
	for x := range all.Values() {
		if owner := owners[x.what]; owner != nil {
			reason := "connections to port " + number(x.port) + " of " + x.what + " are those of " + string(owner.object) + ", which is older"
			c.problems = append(c.problems, mesh.Problem{Object: x.object, Field: "spec.ports", Reason: reason})
			continue
		}
		owners[x.what] = x
		chains = append(chains, x)
	}
	return chains
}

func chainObjects(chains []*sharedChain) []resource.Object {
	var objects []resource.Object
	for _, x := range chains {
		objects = append(objects, x.object)
	}
	return sortedObjects(objects)
}

// addChains adds chains to the listener of a port, and reports whether servers of some of them may speak first. A chain for every
// address takes the place of the one for unknown traffic.
func addChains(l *listenerv3.Listener, chains []*sharedChain) (serverFirst bool) {
	for _, x := range chains {
		serverFirst = serverFirst || !x.reads
		if x.chain.FilterChainMatch == nil {
			l.DefaultFilterChain = x.chain
			continue
		}
		l.FilterChains = append(l.FilterChains, x.chain)
		if x.reads && len(l.ListenerFilters) == 0 {
			l.ListenerFilters, l.ListenerFiltersTimeout = []*listenerv3.ListenerFilter{tlsInspector()}, seconds(0)
		}
	}
	return serverFirst
}
