// Package scope is the third stage of pilot: what one proxy may see of the mesh. A Scope is the only input of the builders
// of package envoy, which makes it their cache key too: proxies of equal scopes share bytes, and nothing outside a scope
// can leak into a proxy's configuration.
//
// What sidecars send (Outbound) is computed once per namespace and distinguishable set of labels, what one receives
// (Inbound) per workload, and what a gateway serves (Gateway) per set of labels and namespace. Each starts from what it was
// in the snapshot before and looks at what has changed; the result is that of starting from nothing.
package scope

import (
	"net/netip"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// Scope is one proxy's view of a snapshot. It is immutable.
type Scope struct {
	Type      mesh.ProxyType
	IPv4      bool
	IPv6      bool
	Settings  *mesh.Settings
	Telemetry *mesh.Telemetry
	Outbound  *Outbound // of a sidecar
	Inbound   *Inbound  // of a sidecar
	Gateway   *Gateway  // of a router
}

// Inbound is what a workload receives.
type Inbound struct {
	Ports       []mesh.InboundPort
	DefaultMode mesh.MTLSMode // of the ports that are not listed
	Policies    []resource.Object
	Problems    []mesh.Problem // of Services that another decides for
	Key         string
}

// ProxyClass is what of a proxy decides which scope it has. It depends on the proxy alone, so that it is made once and asked for
// the scope in every snapshot.
type ProxyClass struct {
	typ        mesh.ProxyType
	ipv4, ipv6 bool
	caller     caller
	exposed    []mesh.Exposed
	inbound    *Inbound
	telemetry  *mesh.Telemetry // nil: the mesh's defaults
}

// ClassOf returns the class of a proxy.
func ClassOf(proxy mesh.Proxy) *ProxyClass {
	p := &ProxyClass{
		typ: proxy.Type, exposed: proxy.Exposed, inbound: inboundFor(proxy),
		telemetry: proxy.Telemetry,
		caller:    caller{proxy.Namespace, proxy.Labels, mesh.SelectorKey(proxy.Labels)},
	}
	for _, ip := range proxy.IPs {
		if a, err := netip.ParseAddr(ip); err == nil {
			p.ipv4, p.ipv6 = p.ipv4 || a.Is4(), p.ipv6 || a.Is6()
		}
	}
	return p
}

// For returns what proxy may see of snapshot, computed from nothing.
func For(snapshot *mesh.Snapshot, proxy mesh.Proxy) Scope {
	return NewViews(nil, snapshot).Scope(ClassOf(proxy))
}

// Key identifies the content of the scope: equal keys, equal configuration. It is a cryptographic hash, because a tenant
// who could make two scopes collide would receive another's configuration.
func (s Scope) Key() string {
	h := mesh.NewHash().Add(string(s.Type), s.Settings.Key, s.Telemetry.Key).Bool(s.IPv4).Bool(s.IPv6)
	if s.Type == mesh.Router {
		return h.Add(s.Gateway.Key).Key()
	}
	return h.Add(s.Outbound.Key, s.Inbound.Key).Key()
}

// ShareKey identifies what the scope of a sidecar has in common with those of others, and is the same in all snapshots. What the
// proxies report depends on the Telemetry objects that apply to them, whose names are in it.
func (s Scope) ShareKey() string {
	family := "-"
	if s.IPv4 {
		family = "4"
	}
	if s.IPv6 {
		family += "6"
	}
	for _, o := range s.Telemetry.Objects {
		family += " " + string(o)
	}
	return family + "\x00" + s.Outbound.ShareKey // namespaces may begin with a digit
}

func inboundFor(proxy mesh.Proxy) *Inbound {
	in := &Inbound{Ports: proxy.Inbound, DefaultMode: proxy.DefaultMode, Policies: proxy.Policies, Problems: proxy.Conflicts}
	h := mesh.NewHash().Add(string(in.DefaultMode))
	for _, p := range in.Ports {
		h.Uint(uint64(p.Port)).Uint(uint64(p.ServicePort)).Add(p.Host, p.Name, p.Namespace, string(p.Protocol), string(p.Mode))
		h.List(texts(p.Sources))
	}
	for _, p := range in.Problems {
		h.Add(string(p.Object), p.Field, p.Reason)
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
