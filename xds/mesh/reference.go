package mesh

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

// references finds what rules refer to that is not there, and the older rules that hide them. They stay as they are: what
// they refer to may come later. The findings tell their author.
type references struct {
	snapshot *Snapshot
	problems []Problem
}

func (r *references) problem(p Problem) { r.problems = append(r.problems, p) }

// unfollowed reports what a Service asks for and proxies do not do.
func unfollowed(k *corev1.Service) []Problem {
	var problems []Problem
	object := resource.Object("Service/" + k.Namespace + "/" + k.Name)
	if p := k.Spec.InternalTrafficPolicy; p != nil && *p == corev1.ServiceInternalTrafficPolicyLocal {
		problems = append(problems, Problem{Object: object, Field: "spec.internalTrafficPolicy", Reason: "Local is not followed: endpoints of all nodes are called"})
	}
	if len(k.Spec.ExternalIPs) > 0 {
		problems = append(problems, Problem{Object: object, Field: "spec.externalIPs", Reason: "are not followed: proxies treat them as unknown addresses; use the Service's name or its cluster IP"})
	}
	return append(problems, tooManyPorts(k)...)
}

// rules checks the DestinationRules of one namespace for one host.
func (r *references) rules(group table.Table[*DestinationRule]) {
	var policy *DestinationRule              // the oldest that has one
	defined := map[string]*DestinationRule{} // the oldest with the subset
	for d := range group.Values() {
		if !strings.HasPrefix(d.Host, "*") && r.snapshot.Service(d.Host) == nil {
			r.problem(Problem{Object: d.Object, Field: "spec.host", Reason: r.noService(d.Host)})
		}
		r.callers(d.Object, func() string { return "spec.host" }, d.Namespace, d.Host)
		if d.Spec.GetTrafficPolicy() != nil {
			if policy == nil {
				policy = d
			} else if exportedToAll(policy.Spec.GetExportTo()) {
				r.problem(Problem{Object: d.Object, Field: "spec.trafficPolicy", Reason: fmt.Sprintf("%s is older and decides for %s", policy.Object, d.Host)})
			}
		}
		for i, s := range d.Spec.GetSubsets() {
			older := defined[s.GetName()]
			if most := istioconfig.MaxSubsets(d.Host); older == nil && len(defined) == most {
				const reason = "older rules define %d subsets of %s, and more have no effect: name only those that routes lead to"
				r.problem(Problem{Object: d.Object, Field: fmt.Sprintf("spec.subsets[%d]", i), Reason: fmt.Sprintf(reason, most, d.Host)})
				break
			}
			if older == nil {
				defined[s.GetName()] = d
			} else if exportedToAll(older.Spec.GetExportTo()) {
				reason := fmt.Sprintf("%s is older and defines %q of %s", older.Object, s.GetName(), d.Host)
				r.problem(Problem{Object: d.Object, Field: fmt.Sprintf("spec.subsets[%d]", i), Reason: reason})
			}
		}
	}
}

func (r *references) virtualService(v *VirtualService) {
	for i, g := range v.Gateways {
		if g != MeshGateway {
			r.gateway(v, i, g)
		}
	}
	if r.snapshot.TooLargeAtGateways(v) {
		const reason = "%d bytes of rules for each of %d hosts of all servers are more than %d in all, and have no effect there: name fewer in spec.hosts, or write several VirtualServices"
		r.problem(Problem{Object: v.Object, Field: "spec.gateways", Reason: fmt.Sprintf(reason, v.bytes, r.snapshot.hostsAtGateways(v), istioconfig.MaxRuleBytes)})
	}
	if slices.Contains(v.Gateways, MeshGateway) {
		r.hosts(v)
	}
	for i, route := range v.Spec.GetHttp() {
		for j, d := range route.GetRoute() {
			r.destination(v, func() string { return fmt.Sprintf("spec.http[%d].route[%d].destination", i, j) }, d.GetDestination())
		}
		if m := route.GetMirror(); m != nil {
			r.destination(v, func() string { return fmt.Sprintf("spec.http[%d].mirror", i) }, m)
		}
	}
}

func (r *references) gateway(v *VirtualService, index int, name string) {
	field := func() string { return fmt.Sprintf("spec.gateways[%d]", index) }
	g := r.snapshot.Lookup.Gateways.Get(name)
	if g == nil {
		r.problem(Problem{Object: v.Object, Field: field(), Reason: "there is no Gateway " + name})
		return
	}
	if slices.ContainsFunc(g.Hosts, func(h ServerHosts) bool { return len(h.Common(v)) > 0 }) {
		return
	}
	r.problem(Problem{Object: v.Object, Field: field(), Reason: fmt.Sprintf("no server of %s has one of the hosts, for namespace %s", g.Object, v.Namespace)})
}

// hosts checks those that sidecars route by. Of two VirtualServices of one namespace for a host, they take the older;
// gateways take both.
func (r *references) hosts(v *VirtualService) {
	for i, host := range v.Hosts {
		field := func() string { return fmt.Sprintf("spec.hosts[%d]", i) }
		if older := r.snapshot.routed(host, v.Namespace); older != v && exportedToAll(older.Spec.GetExportTo()) {
			r.problem(Problem{Object: v.Object, Field: field(), Reason: fmt.Sprintf("%s is older and decides for %s in the mesh", older.Object, host)})
		}
		r.callers(v.Object, field, v.Namespace, host)
		if s := r.snapshot.Service(host); s != nil && !slices.ContainsFunc(s.Ports, func(p *Port) bool { return p.Protocol.IsHTTP() }) {
			r.problem(Problem{Object: v.Object, Field: field(), Reason: fmt.Sprintf("no port of %s is HTTP: give one a name such as http-web, or an appProtocol", s.Object)})
		}
	}
	r.large(v)
}

// large reports the hosts for which the rules are too much, because they are on many ports.
func (r *references) large(v *VirtualService) {
	const reason = "%d bytes of rules for each of %d hosts, on %d HTTP ports %s, are more than %d in all, and have no effect there: name fewer hosts, or write several VirtualServices"
	tell := func(field string, hosts, ports int, where string, most int) {
		r.problem(Problem{Object: v.Object, Field: field, Reason: fmt.Sprintf(reason, v.bytes, hosts, ports, where, most)})
	}
	for i, host := range v.Hosts {
		if !v.mayBeTooLarge() {
			break
		}
		for s := range r.snapshot.meant(host) {
			if v.TooLargeFor(s) {
				tell(fmt.Sprintf("spec.hosts[%d]", i), v.hostWeight, s.httpPorts(), "of "+string(s.Object), istioconfig.MaxRuleBytes)
			}
		}
	}
	if r.snapshot.TooLargeUnregistered(v) {
		hosts, ports := r.snapshot.unregisteredWeight(v)
		tell("spec.hosts", hosts, ports, "of destinations and of namespace "+v.Namespace+", as hosts that may not be Services", maxUnregisteredBytes)
	}
}

// meant are the services that a host, or a pattern of hosts, means.
func (s *Snapshot) meant(host string) iter.Seq[*Service] {
	return func(yield func(*Service) bool) {
		if !strings.HasPrefix(host, "*") {
			if one := s.Service(host); one != nil {
				yield(one)
			}
			return
		}
		for name, one := range s.Services.All() {
			if Includes(host, name) && !yield(one) {
				return
			}
		}
	}
}

// callers reports a rule that no client follows: one for another namespace's services is for the callers of its own namespace,
// and this one has none.
func (r *references) callers(o resource.Object, field func() string, namespace, host string) {
	root := r.snapshot.Settings.RootNamespace
	if namespace == root || !r.snapshot.index.proxied.Get(namespace).Empty() {
		return
	}
	others := map[string]bool{}
	for s := range r.snapshot.meant(host) {
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
	r.problem(Problem{Object: o, Field: field(), Reason: fmt.Sprintf(reason, namespace, where, root)})
}

// destination checks one destination. Most are well, so the field is only spelled when it is not.
func (r *references) destination(v *VirtualService, field func() string, d *networking.Destination) {
	host := ResolveHost(d.GetHost(), v.Namespace)
	s := r.snapshot.Service(host)
	if s == nil {
		r.problem(Problem{Object: v.Object, Field: field() + ".host", Reason: r.noService(host)})
		return
	}
	if n := d.GetPort().GetNumber(); n != 0 && !hasPort(s, n) {
		r.problem(Problem{Object: v.Object, Field: field() + ".port.number", Reason: fmt.Sprintf("%s has no TCP port %d", s.Object, n)})
	} else if n == 0 && len(s.Ports) > 1 && !r.guessed(v, s) {
		r.problem(Problem{Object: v.Object, Field: field() + ".port", Reason: fmt.Sprintf("%s has several ports: say which", s.Object)})
	}
	if name := d.GetSubset(); name != "" && !r.defined(host, name) {
		r.problem(Problem{Object: v.Object, Field: field() + ".subset", Reason: fmt.Sprintf("no DestinationRule for %s defines %q", host, name)})
	}
}

// defined tells whether a rule for the host, or for all that end like it, defines a subset.
func (r *references) defined(host, subset string) bool {
	return slices.ContainsFunc(r.snapshot.Lookup.Patterns(host), func(pattern string) bool {
		return !r.snapshot.index.subsets.Get(subsetKey(pattern, subset)).Empty()
	})
}

// guessed tells whether a destination needs no port: it is that of the request, which at a gateway is a server's.
func (r *references) guessed(v *VirtualService, s *Service) bool {
	for _, name := range v.Gateways {
		if g := r.snapshot.Lookup.Gateways.Get(name); g != nil && !slices.ContainsFunc(g.Spec.GetServers(), func(x *networking.Server) bool { return hasPort(s, x.GetPort().GetNumber()) }) {
			return false
		}
	}
	return true
}

func hasPort(s *Service, number uint32) bool {
	return slices.ContainsFunc(s.Ports, func(p *Port) bool { return p.Number == number })
}

// noService explains the most common errors too: an alias, and a name with a dot, which is not completed.
func (r *references) noService(host string) string {
	if k := r.snapshot.aliasAt(host); k != nil {
		const reason = "Service %s/%s is of type ExternalName, a name for callers alone: name the Service that it stands for"
		return fmt.Sprintf(reason, k.Namespace, k.Name)
	}
	text := "there is no Service " + host
	if name, rest, ok := strings.Cut(host, "."); ok && !strings.Contains(rest, ".") {
		text += "; its full name would be " + HostOf(rest, name)
	}
	return text
}

// aliasAt is the Service of type ExternalName with this full name, or nil.
func (s *Snapshot) aliasAt(host string) *corev1.Service {
	name, ok := strings.CutSuffix(host, ".svc."+Domain)
	if !ok {
		return nil
	}
	name, namespace, _ := strings.Cut(name, ".")
	if k := s.in.Services.Get(Name{namespace, name}.String()); k != nil && k.Spec.Type == corev1.ServiceTypeExternalName {
		return k
	}
	return nil
}

func exportedToAll(exportTo []string) bool {
	return len(exportTo) == 0 || slices.Contains(exportTo, "*")
}
