package mesh

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

// recheck is the rules to check again: those that have changed themselves, and those that refer to what has.
type recheck struct {
	now    *Snapshot
	routes map[string]bool // VirtualServices, by age
	rules  map[ruleGroup]bool
}

// ruleGroup is the DestinationRules of one namespace for one host, of which the older may hide the younger.
type ruleGroup struct{ host, namespace string }

func subsetKey(host, subset string) string { return host + "\x00" + subset }

// updateReferences checks the rules that toRecheck finds.
func (s *Snapshot) updateReferences(prev *Snapshot) {
	s.updatePolicyFindings(prev)
	found := s.toRecheck(prev)
	for age := range found.routes {
		var problems []Problem
		if v := s.VirtualServices.Get(age); v != nil {
			problems = s.check(func(r *references) { r.virtualService(v) }, v.Object)
		}
		s.setUnresolved(age, problems)
	}
	for g := range found.rules {
		rules := s.Lookup.Rules.Get(g.host).Get(g.namespace)
		var objects []resource.Object
		for d := range rules.Values() {
			objects = append(objects, d.Object)
		}
		s.setUnresolved("rules of "+g.namespace+" for "+g.host, s.check(func(r *references) { r.rules(rules) }, objects...))
	}
}

// check returns what a check of objects finds, and what it panicked with.
func (s *Snapshot) check(check func(*references), objects ...resource.Object) []Problem {
	r := &references{snapshot: s}
	if problem := Guarded(Pilot, func() { check(r) }); problem != nil {
		for _, o := range objects {
			problem.Object = o
			r.problem(*problem)
		}
	}
	return LimitProblems(r.problems)
}

func (s *Snapshot) setUnresolved(key string, problems []Problem) {
	before := s.index.unresolved.Get(key)
	switch {
	case len(problems) == 0:
		s.index.unresolved = s.index.unresolved.Without(key)
	case before == nil || !slices.Equal(before.problems, problems):
		s.index.unresolved = s.index.unresolved.With(key, &configEntry{problems: problems})
	}
}

// toRecheck finds them by what differs between two snapshots. What a check reads has to be in here.
func (s *Snapshot) toRecheck(prev *Snapshot) recheck {
	found := recheck{s, map[string]bool{}, map[ruleGroup]bool{}}
	if s.Settings.RootNamespace != prev.Settings.RootNamespace {
		found.all()
	}
	for c := range table.Diff(prev.Lookup.HTTPPorts, s.Lookup.HTTPPorts) {
		for age, v := range s.Lookup.RoutesByNamespace.Get(c.Key).All() {
			if prev.TooLargeUnregistered(v) || s.TooLargeUnregistered(v) {
				found.routes[age] = true
			}
		}
	}
	for c := range table.Diff(prev.VirtualServices, s.VirtualServices) {
		found.routes[c.Key] = true
		found.hidden(prev, c)
	}
	for c := range table.Diff(prev.Rules, s.Rules) {
		for _, d := range []*DestinationRule{c.Old, c.New} {
			if d != nil {
				found.rules[ruleGroup{d.Host, d.Namespace}] = true
			}
		}
	}
	for c := range table.Diff(prev.index.subsets.Table, s.index.subsets.Table) {
		if c.Had != c.Has {
			host, _, _ := strings.Cut(c.Key, "\x00")
			found.leadingTo(host)
		}
	}
	for c := range table.Diff(prev.Lookup.Gateways, s.Lookup.Gateways) {
		found.addRoutes(s.Lookup.RoutesByGateway.Get(c.Key))
	}
	for c := range table.Diff(prev.Services, s.Services) {
		if !c.Had || !c.Has || c.Old.Key != c.New.Key {
			found.about(c.Key)
		}
	}
	for c := range table.Diff(prev.index.aliases.Table, s.index.aliases.Table) {
		for _, group := range []table.Table[*corev1.Service]{c.Old, c.New} {
			for k := range group.Values() {
				found.about(HostOf(k.Namespace, k.Name))
			}
		}
	}
	for c := range table.Diff(prev.index.proxied.Table, s.index.proxied.Table) {
		if c.Had != c.Has {
			found.addRoutes(s.Lookup.RoutesByNamespace.Get(c.Key))
			found.addRules(s.index.rules.Get(c.Key))
		}
	}
	return found
}

func (f recheck) all() {
	f.addRoutes(f.now.VirtualServices)
	f.addRules(f.now.Rules)
}

func (f recheck) addRoutes(routes table.Table[*VirtualService]) {
	for age := range routes.All() {
		f.routes[age] = true
	}
}

func (f recheck) addRules(rules table.Table[*DestinationRule]) {
	for d := range rules.Values() {
		f.rules[ruleGroup{d.Host, d.Namespace}] = true
	}
}

// hidden adds the VirtualServices that another one hides now, where it hid none, or the other way.
func (f recheck) hidden(prev *Snapshot, c table.Change[*VirtualService]) {
	for _, v := range []*VirtualService{c.Old, c.New} {
		if v == nil {
			continue
		}
		for _, host := range v.Hosts {
			if prev.routed(host, v.Namespace) != f.now.routed(host, v.Namespace) {
				f.addRoutes(f.now.Lookup.RoutesByHost.Get(host).Get(v.Namespace))
			}
		}
	}
}

// routed is the VirtualService that decides for the callers of its namespace who ask for a host, or nil: the oldest.
func (s *Snapshot) routed(host, namespace string) *VirtualService {
	for v := range s.Lookup.RoutesByHost.Get(host).Get(namespace).Values() {
		return v
	}
	return nil
}

// leadingTo adds the VirtualServices whose destinations a pattern means.
func (f recheck) leadingTo(pattern string) {
	to := f.now.Lookup.RoutesByDestination
	if !strings.HasPrefix(pattern, "*") {
		f.addRoutes(to.Get(pattern))
		return
	}
	for host, routes := range to.All() {
		if Includes(pattern, host) {
			f.addRoutes(routes)
		}
	}
}

// about adds what is for a service or leads to it.
func (f recheck) about(host string) {
	f.leadingTo(host)
	for _, pattern := range f.now.Lookup.Patterns(host) {
		for routes := range f.now.Lookup.RoutesByHost.Get(pattern).Values() {
			f.addRoutes(routes)
		}
		for namespace := range f.now.Lookup.Rules.Get(pattern).All() {
			f.rules[ruleGroup{pattern, namespace}] = true
		}
	}
}
