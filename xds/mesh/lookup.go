package mesh

import (
	"slices"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

// Lookup finds configuration by what it is about. Groups are oldest first.
type Lookup struct {
	Gateways            table.Table[*Gateway]                      // by namespace/name
	RoutesByHost        table.Table[table.Groups[*VirtualService]] // those that apply to sidecars, by host, by namespace
	RoutesByNamespace   table.Groups[*VirtualService]              // those that apply to sidecars
	RoutesByGateway     table.Groups[*VirtualService]
	RoutesByDestination table.Groups[*VirtualService]               // by the hosts that they lead to
	RoutesBySource      table.Groups[*VirtualService]               // by the label selectors, as SelectorKey, that they test clients with
	Rules               table.Table[table.Groups[*DestinationRule]] // by host, by namespace
	HTTPPorts           table.Table[*Ports]                         // of the Services of a namespace

	partial table.Table[bool] // the rules for sidecars that have a host with a wildcard within a label
}

func (s *Snapshot) putVirtualService(v *VirtualService, in bool) {
	age := ageOf(v.Created, v.Object)
	s.VirtualServices = set(s.VirtualServices, age, v, in)
	s.Lookup.putRoutes(age, v, in)
}

func (s *Snapshot) putDestinationRule(d *DestinationRule, in bool) {
	age := ageOf(d.Created, d.Object)
	s.Rules = set(s.Rules, age, d, in)
	if istioconfig.PartialWildcard(d.Host) {
		s.Lookup.partial = set(s.Lookup.partial, string(d.Object), true, in)
	}
	s.Lookup.Rules = setAt(s.Lookup.Rules, d.Host, d.Namespace, age, d, in)
	s.index.putSecrets(age, clientSecrets(d.Spec), in)
}

func (s *Snapshot) putGateway(g *Gateway, in bool) {
	age := ageOf(g.Created, g.Object)
	s.Gateways = set(s.Gateways, age, g, in)
	s.Lookup.Gateways = set(s.Lookup.Gateways, Name{g.Namespace, g.Name}.String(), g, in)
	s.index.putSecrets(age, serverSecrets(g.Spec), in)
}

func (s *Snapshot) putPeerAuthentication(p *PeerAuthentication, in bool) {
	policies := &s.index.policies
	policies.ByNamespace = setIn(policies.ByNamespace, p.Namespace, ageOf(p.Created, p.Object), p, in)
}

func (s *Snapshot) putTelemetry(t *TelemetryRule, in bool) {
	s.index.telemetry = setIn(s.index.telemetry, t.Namespace, ageOf(t.Created, t.Object), t, in)
}

func (l *Lookup) putRoutes(age string, v *VirtualService, in bool) {
	if slices.Contains(v.Gateways, MeshGateway) {
		for _, host := range v.Hosts {
			l.RoutesByHost = setAt(l.RoutesByHost, host, v.Namespace, age, v, in)
		}
		if v.hosts.partial {
			l.partial = set(l.partial, string(v.Object), true, in)
		}
		l.RoutesByNamespace = setIn(l.RoutesByNamespace, v.Namespace, age, v, in)
	}
	for _, gateway := range v.Gateways {
		l.RoutesByGateway = setIn(l.RoutesByGateway, gateway, age, v, in)
	}
	for _, host := range v.Destinations {
		l.RoutesByDestination = setIn(l.RoutesByDestination, host, age, v, in)
	}
	for key := range v.Sources {
		l.RoutesBySource = setIn(l.RoutesBySource, key, age, v, in)
	}
}

func (x *index) putSecrets(age string, names []string, in bool) {
	for _, name := range names {
		x.secretUsers = setIn(x.secretUsers, name, age, true, in)
		x.secretUsers = setIn(x.secretUsers, name+CASuffix, age, true, in)
	}
}

func set[V comparable](t table.Table[V], key string, value V, in bool) table.Table[V] {
	if in {
		return t.With(key, value)
	}
	return t.Without(key)
}

func setIn[V comparable](g table.Groups[V], group, key string, value V, in bool) table.Groups[V] {
	if in {
		return g.With(group, key, value)
	}
	return g.Without(group, key)
}

func setAt[V comparable](t table.Table[table.Groups[V]], first, second, key string, value V, in bool) table.Table[table.Groups[V]] {
	groups := setIn(t.Get(first), second, key, value, in)
	return set(t, first, groups, !groups.Empty())
}
