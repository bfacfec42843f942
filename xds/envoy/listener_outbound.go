package envoy

import (
	"net/netip"
	"slices"
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/mesh-operator/mesh-operator/internal/names"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/scope"
)

// port makes, for a port on which some service speaks HTTP, one listener and its routes. Requests find their service by
// host, so the listener does not change when services do. It also has the chains of ServiceEntries that have no address of their own.
func (s *Shared) port(c *collector, port string) {
	hosts, chains := s.hosts.Get(port), c.claimChains(s.chains.Get(port))
	if hosts.Empty() {
		s.set = s.set.With(resource.Route, s.set.Of(resource.Route).Without(port))
	} else {
		c.routes(port, hosts)
	}
	if hosts.Empty() && len(chains) == 0 {
		s.set = s.set.With(resource.Listener, s.set.Of(resource.Listener).Without(c.httpListenerName(port)))
		s.report("port "+port, c.problems)
		return
	}
	key := mesh.NewHash().Add("http listener", port)
	for _, x := range chains {
		key.Add("chain", x.key)
	}
	c.addReporting(key.Bool(hosts.Empty()), chainObjects(chains), func(d *draft) {
		l := c.portListener(port, !hosts.Empty(), chains)
		d.emit(resource.Listener, l.Name, l)
	})
	s.set = s.set.Put(c.resources...)
	s.report("port "+port, c.problems)
}

func (c *collector) httpListenerName(port string) string { return c.wildcard() + "_" + port }

// routedByHost reports whether requests to a port share a listener for all addresses. Envoy rejects such a listener on a port
// that the proxy itself listens on, so one Service would break the listeners of all. There each service has its own address.
func routedByHost(p *mesh.Port) bool { return p.Protocol.IsHTTP() && !names.ProxyPorts[p.Number] }

// serverFirstTimeout is how many seconds a connection to an unknown address may be silent before it is passed through, if that is
// allowed: the server may speak first, and one tenant's HTTP port must not make it wait for ever. Services have listeners of
// their own then, because the idle connection of a pool must not pass by the mesh.
const serverFirstTimeout = 1

// portListener routes HTTP, if some service speaks it on the port, and has chains for other connections. The rest of the traffic to
// the port, to an address that no service claims, is handled as unknown traffic; TCP and headless services on the port have listeners
// of their own, which are more specific.
func (c *collector) portListener(port string, http bool, chains []*sharedChain) *listenerv3.Listener {
	n, _ := strconv.ParseUint(port, 10, 32)
	l := c.outboundListener(c.wildcard(), uint32(n))
	if http {
		c.routeHTTP(l, "outbound_"+l.Name, port, noHost)
	} else {
		l.DefaultFilterChain = &listenerv3.FilterChain{Name: "other", Filters: c.tcpChain(sidecarOutbound, c.unknown())}
	}
	serverFirst := addChains(l, chains) && !http
	if len(l.ListenerFilters) > 0 && (c.scope.Settings.AllowAnyOutbound || serverFirst) {
		l.ListenerFiltersTimeout, l.ContinueOnListenerFiltersTimeout = seconds(serverFirstTimeout), true
	}
	return l
}

// unknown is the cluster for traffic to hosts and addresses that are not in the registry.
func (c *collector) unknown() string {
	if c.scope.Settings.AllowAnyOutbound {
		return passthroughCluster
	}
	return blackHoleCluster
}

// addressListeners adds a listener for each address of a service and port that is not routed by host. A headless
// service has the addresses of its endpoints; of two of its ports that lead to the same port there, the first has them. Which
// of two services gets an address that both claim is not decided here.
func (c *collector) addressListeners(s *scope.Service) {
	first := map[string]uint32{}
	for _, p := range s.Ports {
		if routedByHost(p) {
			switch {
			case s.Resolution == mesh.ByClient:
				c.headlessListeners(s, p, c.unclaimed(first, s, p))
			case c.scope.Settings.AllowAnyOutbound:
				c.httpListeners(s, p, c.addressesOf(s, p), number(p.Number))
			}
			continue
		}
		if s.External() {
			c.portChains(s, p)
		}
		for _, a := range c.unclaimed(first, s, p) {
			cluster := outboundName(p.Number, "", s.Host) + a.suffix
			chain := filterContext{kind: sidecarOutbound, cluster: cluster, affinity: s.Affinity}
			name := a.ip + "_" + number(a.port)
			c.addReporting(mesh.NewHash().Add("tcp listener", cluster, name).Bool(s.Affinity), []resource.Object{s.Object}, func(d *draft) {
				l := c.outboundListener(a.ip, a.port)
				l.FilterChains = []*listenerv3.FilterChain{{Name: "tcp", Filters: c.networkFilters(chain)}}
				d.emit(resource.Listener, l.Name, l)
			})
		}
	}
}

// unclaimed lists the addresses of a port that no port before it has.
func (c *collector) unclaimed(first map[string]uint32, s *scope.Service, p *mesh.Port) []address {
	var list []address
	var problem *mesh.Problem
	for _, a := range c.addressesOf(s, p) {
		name := a.ip + "_" + number(a.port)
		if owner, taken := first[name]; taken {
			problem = &mesh.Problem{Object: s.Object, Field: "spec.ports", Reason: "port " + number(p.Number) +
				" leads to the same port of the endpoints as port " + number(owner) + ": connections to it are those of port " + number(owner)}
			continue
		}
		first[name] = p.Number
		list = append(list, a)
	}
	if problem != nil {
		c.problems = append(c.problems, *problem)
	}
	return list
}

type address struct {
	ip     string
	port   uint32
	suffix string // of the cluster: plaintextSuffix or empty
}

// addressesOf lists the addresses that the proxy's workload can dial. An address of an EndpointSlice that no pod has counts
// in the slice's own namespace only: elsewhere it would let its author capture connections to any address.
func (c *collector) addressesOf(s *scope.Service, p *mesh.Port) []address {
	var list []address
	for _, ip := range s.Addresses {
		list = append(list, address{ip: ip, port: p.Number})
	}
	if s.Resolution == mesh.ByClient {
		own := s.Namespace == c.near || s.Namespace == c.scope.Settings.RootNamespace
		for _, e := range p.Endpoints {
			if !e.PodAddress && !own {
				continue
			}
			a := address{ip: e.Address, port: e.Port}
			if mixed(p) && !e.MTLS {
				a.suffix = plaintextSuffix
			}
			list = append(list, a)
		}
	}
	return slices.DeleteFunc(list, func(a address) bool { return !c.reachable(a.ip) })
}

// reachable reports whether an address is of a family that the proxy has. One without known addresses gets IPv4.
func (c *collector) reachable(ip string) bool {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return false
	}
	if a.Is6() {
		return c.scope.IPv6
	}
	return c.scope.IPv4 || !c.scope.IPv6
}

// outboundListener is one that no socket is opened for: virtualOutbound hands it the connections to its address.
func (c *collector) outboundListener(ip string, port uint32) *listenerv3.Listener {
	l := &listenerv3.Listener{
		Name:             ip + "_" + number(port),
		Address:          socketAddress(ip, port),
		BindToPort:       wrapperspb.Bool(false),
		TrafficDirection: corev3.TrafficDirection_OUTBOUND,
	}
	if ip == "0.0.0.0" && c.scope.IPv6 {
		l.AdditionalAddresses = []*listenerv3.AdditionalAddress{{Address: socketAddress("::", port)}}
	}
	return l
}

// wildcard is any address of the proxy's family; with both families the IPv6 one is added to it.
func (c *collector) wildcard() string {
	if c.scope.IPv6 && !c.scope.IPv4 {
		return "::"
	}
	return "0.0.0.0"
}

// virtualOutbound adds the listener that the redirection sends all outgoing connections to. It hands each to the listener
// of its original destination; the rest is handled as unknown traffic. A connection to the listener itself would loop, so it
// is closed.
func (c *collector) virtualOutbound() {
	c.addReporting(mesh.NewHash().Add("virtualOutbound"), nil, func(d *draft) {
		l := c.outboundListener(c.wildcard(), names.OutboundPort)
		l.Name, l.BindToPort, l.UseOriginalDst = "virtualOutbound", nil, yes()
		l.FilterChains = []*listenerv3.FilterChain{{
			Name:             "virtualOutbound-blackhole",
			FilterChainMatch: &listenerv3.FilterChainMatch{DestinationPort: wrapperspb.UInt32(names.OutboundPort)},
			Filters:          c.tcpChain(sidecarOutbound, blackHoleCluster),
		}, {
			Name:    "virtualOutbound-catchall-tcp",
			Filters: c.tcpChain(sidecarOutbound, c.unknown()),
		}}
		d.emit(resource.Listener, l.Name, l)
	})
}

func objectTexts(objects []resource.Object) []string {
	out := make([]string, len(objects))
	for i, o := range objects {
		out[i] = string(o)
	}
	return out
}
