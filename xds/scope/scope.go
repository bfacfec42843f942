// Package scope is the third stage of pilot: what one proxy may see of the mesh. A Scope is the only input of the builders
// of package envoy, which makes it their cache key too: proxies of equal scopes share bytes, and nothing outside a scope
// can leak into a proxy's configuration.
//
// What sidecars send (Outbound) is computed once per namespace and distinguishable set of labels, what one receives
// (Inbound) per workload, and what a gateway serves (Gateway) per set of labels and namespace.
package scope

import (
	"net/netip"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// Scope is one proxy's view of a snapshot. It is immutable.
type Scope struct {
	Type     mesh.ProxyType
	IPv4     bool
	IPv6     bool
	Settings *mesh.Settings
	Outbound *Outbound // of a sidecar
	Inbound  *Inbound  // of a sidecar
	Gateway  *Gateway  // of a router

	key string
}

// Inbound is what a workload receives.
type Inbound struct {
	Ports     []mesh.InboundPort
	Unclaimed mesh.MTLSMode // of the ports that are not listed
	Policies  []resource.Object
	Key       string
}

// For returns what proxy may see of snapshot.
func For(snapshot *mesh.Snapshot, proxy mesh.Proxy) Scope {
	s := Scope{Type: proxy.Type, Settings: snapshot.Settings}
	for _, ip := range proxy.IPs {
		if a, err := netip.ParseAddr(ip); err == nil {
			s.IPv4, s.IPv6 = s.IPv4 || a.Is4(), s.IPv6 || a.Is6()
		}
	}
	h := mesh.NewHash().Add(string(s.Type), s.Settings.Key).Bool(s.IPv4).Bool(s.IPv6)
	if proxy.Type == mesh.Router {
		s.Gateway = gatewayFor(snapshot, proxy)
		s.key = h.Add(s.Gateway.Key).Key()
		return s
	}
	s.Outbound = outboundFor(snapshot, proxy)
	s.Inbound = inboundFor(proxy)
	s.key = h.Add(s.Outbound.Key, s.Inbound.Key).Key()
	return s
}

// Key identifies the content of the scope: equal keys, equal configuration. It is a cryptographic hash, because a tenant
// who could make two scopes collide would receive another's configuration.
func (s Scope) Key() string { return s.key }

func inboundFor(proxy mesh.Proxy) *Inbound {
	in := &Inbound{Ports: proxy.Inbound, Unclaimed: proxy.Unclaimed, Policies: proxy.Policies}
	h := mesh.NewHash().Add(string(in.Unclaimed))
	for _, p := range in.Ports {
		h.Uint(uint64(p.Port)).Uint(uint64(p.ServicePort)).Add(p.Host, string(p.Protocol), string(p.Mode))
		h.List(texts(p.Sources))
	}
	in.Key = h.List(texts(in.Policies)).Key()
	return in
}

func texts(objects []resource.Object) []string {
	out := make([]string, len(objects))
	for i, o := range objects {
		out[i] = string(o)
	}
	return out
}
