package mesh

import (
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	security "istio.io/api/security/v1beta1"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
)

// MeshGateway is the name under which a VirtualService applies to the sidecars.
const MeshGateway = "mesh"

// ResolveHost is the full name of a host that an object in namespace writes: a name without a dot is a service of its own
// namespace.
func ResolveHost(host, namespace string) string {
	if host == "" || strings.Contains(host, ".") || strings.Contains(host, "*") {
		return strings.ToLower(strings.TrimSuffix(host, "."))
	}
	return HostOf(namespace, strings.ToLower(host))
}

// ResolveGateways resolves the names of gateways that an object in namespace writes: MeshGateway or namespace/name.
func ResolveGateways(gateways []string, namespace string) []string {
	var names []string
	for _, g := range gateways {
		names = append(names, istioconfig.ResolveGateway(g, namespace))
	}
	return names
}

func configKey(o istioconfig.Object) string {
	return NewHash().Add(string(o.Kind), o.Namespace, o.Name).Uint(uint64(o.Created.UnixNano())).Message(o.Spec).Key()
}

func newVirtualService(o istioconfig.Object, spec *networking.VirtualService) *VirtualService {
	v := &VirtualService{
		Object: objectOf(o), Namespace: o.Namespace, Name: o.Name, Created: o.Created, Spec: spec, Key: configKey(o),
		bytes: istioconfig.RuleBytes(spec), hostWeight: istioconfig.HostWeight(spec),
	}
	for _, host := range spec.GetHosts() {
		v.Hosts = append(v.Hosts, ResolveHost(host, o.Namespace))
	}
	v.hosts = newHostSet(v.Hosts)
	if v.Gateways = ResolveGateways(spec.GetGateways(), o.Namespace); len(v.Gateways) == 0 {
		v.Gateways = []string{MeshGateway}
	}
	for _, r := range spec.GetHttp() {
		v.Destinations = append(v.Destinations, DestinationsOf(r, o.Namespace)...)
	}
	slices.Sort(v.Destinations)
	v.Destinations = slices.Compact(v.Destinations)
	v.destinationPorts, v.openDestinations = destinationPorts(spec, o.Namespace)
	v.Sources = sourcesOf(spec)
	return v
}

// DestinationsOf lists the full names of the hosts that a route of an object in namespace leads to.
func DestinationsOf(r *networking.HTTPRoute, namespace string) []string {
	var hosts []string
	for _, d := range destinationsOf(r) {
		hosts = append(hosts, ResolveHost(d.GetHost(), namespace))
	}
	return hosts
}

func destinationsOf(r *networking.HTTPRoute) []*networking.Destination {
	var all []*networking.Destination
	for _, d := range r.GetRoute() {
		all = append(all, d.GetDestination())
	}
	all = append(all, r.GetMirror())
	for _, m := range r.GetMirrors() {
		all = append(all, m.GetDestination())
	}
	return slices.DeleteFunc(all, func(d *networking.Destination) bool { return d == nil })
}

func sourcesOf(spec *networking.VirtualService) map[string]map[string]string {
	out := map[string]map[string]string{}
	for _, r := range spec.GetHttp() {
		for _, m := range r.GetMatch() {
			if len(m.GetSourceLabels()) > 0 {
				out[SelectorKey(m.GetSourceLabels())] = m.GetSourceLabels()
			}
		}
	}
	return out
}

// SelectorKey identifies a label selector.
func SelectorKey(selector map[string]string) string { return NewHash().Map(selector).Key() }

// SourceSelector is the label selector of a key of Lookup.RoutesBySource.
func (l Lookup) SourceSelector(key string) map[string]string {
	for v := range l.RoutesBySource.Get(key).Values() {
		return v.Sources[key]
	}
	return nil
}

func newDestinationRule(o istioconfig.Object, spec *networking.DestinationRule) *DestinationRule {
	return &DestinationRule{
		Object: objectOf(o), Namespace: o.Namespace, Name: o.Name, Created: o.Created, Spec: spec,
		Host: ResolveHost(spec.GetHost(), o.Namespace), Key: configKey(o),
	}
}

func newGateway(o istioconfig.Object, spec *networking.Gateway) *Gateway {
	g := &Gateway{Object: objectOf(o), Namespace: o.Namespace, Name: o.Name, Created: o.Created, Spec: spec, Key: configKey(o)}
	for _, s := range spec.GetServers() {
		g.Hosts = append(g.Hosts, NewServerHosts(o.Namespace, s.GetHosts()))
	}
	return g
}

func newPeerAuthentication(o istioconfig.Object, spec *security.PeerAuthentication) *PeerAuthentication {
	return &PeerAuthentication{Object: objectOf(o), Namespace: o.Namespace, Created: o.Created, Spec: spec, Key: configKey(o)}
}

func (v *VirtualService) key() string     { return v.Key }
func (d *DestinationRule) key() string    { return d.Key }
func (g *Gateway) key() string            { return g.Key }
func (p *PeerAuthentication) key() string { return p.Key }
func (t *TelemetryRule) key() string      { return t.Key }

// Exported tells whether an object of namespace owner with that exportTo list is for namespace client.
func Exported(exportTo []string, owner, client string) bool {
	if len(exportTo) == 0 {
		return true
	}
	for _, e := range exportTo {
		if e == "*" || e == client || e == "." && owner == client {
			return true
		}
	}
	return false
}

// HostPart is the host of a Gateway's server without the namespaces that it is for.
func HostPart(host string) string {
	if _, after, ok := strings.Cut(host, "/"); ok {
		host = after
	}
	return strings.ToLower(host)
}
