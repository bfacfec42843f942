package analyze

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// virtualService checks one VirtualService.
func (c *checker) virtualService(v *mesh.VirtualService) {
	for i, g := range v.Gateways {
		if g != mesh.MeshGateway {
			c.gateway(v, i, g)
		}
	}
	if c.snapshot.TooLargeAtGateways(v) {
		const reason = "%d bytes of rules for each of %d hosts of all servers are more than %d in all, and have no effect there: name fewer in spec.hosts, or write several VirtualServices"
		c.report(mesh.Problem{Object: v.Object, Field: "spec.gateways", Reason: fmt.Sprintf(reason, v.RuleBytes(), c.snapshot.HostsAtGateways(v), istioconfig.MaxRuleBytes)})
	}
	if slices.Contains(v.Gateways, mesh.MeshGateway) {
		c.hosts(v)
	}
	for i, route := range v.Spec.GetHttp() {
		for j, d := range route.GetRoute() {
			c.destination(v, func() string { return fmt.Sprintf("spec.http[%d].route[%d].destination", i, j) }, d.GetDestination())
		}
		if m := route.GetMirror(); m != nil {
			c.destination(v, func() string { return fmt.Sprintf("spec.http[%d].mirror", i) }, m)
		}
	}
}

func (c *checker) gateway(v *mesh.VirtualService, index int, name string) {
	field := func() string { return fmt.Sprintf("spec.gateways[%d]", index) }
	g := c.snapshot.Lookup.Gateways.Get(name)
	if g == nil {
		c.report(mesh.Problem{Object: v.Object, Field: field(), Reason: "there is no Gateway " + name})
		return
	}
	if slices.ContainsFunc(g.Hosts, func(h mesh.ServerHosts) bool { return len(h.Common(v)) > 0 }) {
		return
	}
	c.report(mesh.Problem{Object: v.Object, Field: field(), Reason: fmt.Sprintf("no server of %s has one of the hosts, for namespace %s", g.Object, v.Namespace)})
}

// hosts checks those that sidecars route by. Of two VirtualServices of one namespace for a host, they take the older;
// gateways take both.
func (c *checker) hosts(v *mesh.VirtualService) {
	for i, host := range v.Hosts {
		field := func() string { return fmt.Sprintf("spec.hosts[%d]", i) }
		if older := c.oldest(host, v.Namespace); older != v && exportedToAll(older.Spec.GetExportTo()) {
			c.report(mesh.Problem{Object: v.Object, Field: field(), Reason: fmt.Sprintf("%s is older and decides for %s in the mesh", older.Object, host)})
		}
		c.callers(v.Object, field, v.Namespace, host)
		if s := c.called(host, v.Namespace); s != nil && !slices.ContainsFunc(s.Ports, func(p *mesh.Port) bool { return p.Protocol.IsHTTP() }) {
			fix := "give one a name such as http-web, or an appProtocol"
			if s.External() {
				fix = "give one the protocol HTTP"
			}
			c.report(mesh.Problem{Object: v.Object, Field: field(), Reason: fmt.Sprintf("no port of %s is HTTP: %s", s.Object, fix)})
		}
	}
	c.large(v)
}

// oldest is the VirtualService that decides for the callers of its namespace who ask for a host, or nil.
func (c *checker) oldest(host, namespace string) *mesh.VirtualService {
	for v := range c.snapshot.Lookup.RoutesByHost.Get(host).Get(namespace).Values() {
		return v
	}
	return nil
}

// large reports the hosts for which the rules are too much, because they are on many ports.
func (c *checker) large(v *mesh.VirtualService) {
	const reason = "%d bytes of rules for each of %d hosts, on %d HTTP ports %s, are more than %d in all, and have no effect there: name fewer hosts, or write several VirtualServices"
	report := func(field string, hosts, ports int, where string, most int) {
		c.report(mesh.Problem{Object: v.Object, Field: field, Reason: fmt.Sprintf(reason, v.RuleBytes(), hosts, ports, where, most)})
	}
	for i, host := range v.Hosts {
		if !v.MayBeTooLarge() {
			break
		}
		for s := range c.meant(host) {
			if v.TooLargeFor(s) {
				report(fmt.Sprintf("spec.hosts[%d]", i), v.HostWeight(), s.CountHTTPPorts(), "of "+string(s.Object), istioconfig.MaxRuleBytes)
			}
		}
	}
	if c.snapshot.TooLargeUnregistered(v) {
		hosts, ports := c.snapshot.UnregisteredWeight(v)
		report("spec.hosts", hosts, ports, "of destinations and of namespace "+v.Namespace+", as hosts that may not be Services", mesh.MaxUnregisteredBytes)
	}
}

// meant are the services that a host, or a pattern of hosts, means.
func (c *checker) meant(host string) iter.Seq[*mesh.Service] {
	return func(yield func(*mesh.Service) bool) {
		if !strings.HasPrefix(host, "*") {
			if one := c.snapshot.Service(host); one != nil {
				yield(one)
				return
			}
			eachEntry(c.snapshot.Entries.Get(host), yield)
			return
		}
		for name, one := range c.snapshot.Services.All() {
			if mesh.Includes(host, name) && !yield(one) {
				return
			}
		}
		for name, entries := range c.snapshot.Entries.All() {
			if mesh.Includes(host, name) && !eachEntry(entries, yield) {
				return
			}
		}
	}
}

// callers reports a rule that no client follows: one for another namespace's services is for the callers of its own namespace,
// and this one has none.
func (c *checker) callers(o resource.Object, field func() string, namespace, host string) {
	root := c.snapshot.Settings.RootNamespace
	if namespace == root || c.proxied[namespace] {
		return
	}
	others := map[string]bool{}
	for s := range c.meant(host) {
		if s.Namespace == namespace {
			return
		}
		others[s.Namespace] = true
	}
	var where string
	switch len(others) {
	case 0:
		return
	case 1:
		where = slices.Collect(maps.Keys(others))[0]
	default:
		where = "the namespaces of the services"
	}
	const reason = "decides for callers of namespace %s, where no proxy is: for all callers, write it in %s or %s"
	c.report(mesh.Problem{Object: o, Field: field(), Reason: fmt.Sprintf(reason, namespace, where, root)})
}

// destination checks one destination. Most are well, so the field is only spelled when it is not.
func (c *checker) destination(v *mesh.VirtualService, field func() string, d *networking.Destination) {
	host := mesh.ResolveHost(d.GetHost(), v.Namespace)
	s := c.called(host, v.Namespace)
	if s == nil {
		c.report(mesh.Problem{Object: v.Object, Field: field() + ".host", Reason: c.noService(host)})
		return
	}
	if s.Resolution == mesh.Unresolved && slices.ContainsFunc(v.Gateways, func(g string) bool { return g != mesh.MeshGateway }) {
		const reason = "%s has resolution NONE, where the workload that calls chooses the address: a gateway has none to connect to; use resolution: DNS or STATIC"
		c.report(mesh.Problem{Object: v.Object, Field: field() + ".host", Reason: fmt.Sprintf(reason, s.Object)})
	}
	if n := d.GetPort().GetNumber(); n != 0 && !hasPort(s, n) {
		c.report(mesh.Problem{Object: v.Object, Field: field() + ".port.number", Reason: fmt.Sprintf("%s has no TCP port %d", s.Object, n)})
	} else if n == 0 && len(s.Ports) > 1 && !c.guessed(v, s) {
		c.report(mesh.Problem{Object: v.Object, Field: field() + ".port", Reason: fmt.Sprintf("%s has several ports: say which", s.Object)})
	}
	if name := d.GetSubset(); name != "" && !c.defined(host, name) {
		c.report(mesh.Problem{Object: v.Object, Field: field() + ".subset", Reason: fmt.Sprintf("no DestinationRule for %s defines %q", host, name)})
	}
}

// defined tells whether a rule for the host, or for all that end like it, defines a subset.
func (c *checker) defined(host, name string) bool {
	return slices.ContainsFunc(c.snapshot.Lookup.Patterns(host), func(pattern string) bool {
		return c.subsets[subset{pattern, name}]
	})
}

// guessed tells whether a destination needs no port: it is that of the request, which at a gateway is a server's.
func (c *checker) guessed(v *mesh.VirtualService, s *mesh.Service) bool {
	for _, name := range v.Gateways {
		if g := c.snapshot.Lookup.Gateways.Get(name); g != nil && !slices.ContainsFunc(g.Spec.GetServers(), func(x *networking.Server) bool { return hasPort(s, x.GetPort().GetNumber()) }) {
			return false
		}
	}
	return true
}

func hasPort(s *mesh.Service, number uint32) bool {
	return slices.ContainsFunc(s.Ports, func(p *mesh.Port) bool { return p.Number == number })
}

// noService explains the most common errors too: an alias, and a name with a dot, which is not completed.
func (c *checker) noService(host string) string {
	if k := c.aliasAt(host); k != nil {
		const reason = "Service %s/%s is of type ExternalName, a name for callers alone: name the Service that it stands for"
		return fmt.Sprintf(reason, k.Namespace, k.Name)
	}
	for _, entries := range c.snapshot.Entries.Get(host).All() {
		for e := range entries.Values() {
			const reason = "%s is for callers of namespace %s: write one in the namespace of this object, or in %s for all"
			return fmt.Sprintf(reason, e.Object, e.Namespace, c.snapshot.Settings.RootNamespace)
		}
	}
	text := "there is no Service " + host
	if name, rest, ok := strings.Cut(host, "."); ok && !strings.Contains(rest, ".") {
		text += "; its full name would be " + mesh.HostOf(rest, name)
	} else if !strings.HasSuffix(host, ".svc."+mesh.Domain) {
		text += ", nor a ServiceEntry for it"
	}
	return text
}

// aliasAt is the Service of type ExternalName with this full name, or nil.
func (c *checker) aliasAt(host string) *corev1.Service {
	name, ok := strings.CutSuffix(host, ".svc."+mesh.Domain)
	if !ok {
		return nil
	}
	name, namespace, _ := strings.Cut(name, ".")
	if k := c.in.Services.Get(mesh.Name{Namespace: namespace, Name: name}.String()); k != nil && k.Spec.Type == corev1.ServiceTypeExternalName {
		return k
	}
	return nil
}

func exportedToAll(exportTo []string) bool {
	return len(exportTo) == 0 || slices.Contains(exportTo, "*")
}
