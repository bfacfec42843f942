// Package analyze finds rules and Services that are valid and do not have the effect that their author expects: what they refer to
// is not there, or another object decides. It reads a snapshot of the mesh and changes nothing in it: what a rule refers to may
// come later, so the rule stays as it is, and the finding tells its author.
//
// Pilot runs Check beside its pushes, a few seconds after a change. A finding that is about an object alone, without the rest of
// the mesh, belongs to internal/istioconfig, which galley asks at admission.
package analyze

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// Check returns the findings of a snapshot, sorted, each once. A check that panics is a problem of the objects that it is about.
// Of one object no more than mesh.LimitProblems keeps are returned.
func Check(s *mesh.Snapshot) []mesh.Problem {
	c := &checker{snapshot: s, in: s.Inputs(), subsets: map[subset]bool{}, proxied: map[string]bool{}, sidecars: map[string][]*corev1.Pod{}, proxies: map[string][]*corev1.Pod{}}
	c.index()
	for k := range c.in.Services.Values() {
		c.guard(func() { c.service(k) }, serviceObject(k))
	}
	for v := range s.VirtualServices.Values() {
		c.guard(func() { c.virtualService(v) }, v.Object)
	}
	for byNamespace := range s.Entries.Values() {
		for entries := range byNamespace.Values() {
			var objects []resource.Object
			for e := range entries.Values() {
				objects = append(objects, e.Object)
			}
			c.guard(func() { c.entries(entries) }, objects...)
		}
	}
	for byNamespace := range s.Lookup.Rules.Values() {
		for rules := range byNamespace.Values() {
			var objects []resource.Object
			for d := range rules.Values() {
				objects = append(objects, d.Object)
			}
			c.guard(func() { c.rules(rules) }, objects...)
		}
	}
	for namespace, policies := range s.Policies().ByNamespace.All() {
		var objects []resource.Object
		for p := range policies.Values() {
			objects = append(objects, p.Object)
		}
		c.guard(func() { c.policies(namespace) }, objects...)
	}
	for rules := range s.TelemetryRules().Values() {
		for t := range rules.Values() {
			c.guard(func() { c.telemetry(t) }, t.Object)
		}
	}
	slices.SortFunc(c.found, mesh.CompareProblems)
	return slices.Compact(c.found)
}

// checker is one run of Check.
type checker struct {
	snapshot *mesh.Snapshot
	in       mesh.Inputs
	subsets  map[subset]bool          // that some rule defines
	proxied  map[string]bool          // the namespaces with a proxy
	sidecars map[string][]*corev1.Pod // the pods with one, by namespace
	proxies  map[string][]*corev1.Pod // the pods with a proxy of any type, by namespace
	found    []mesh.Problem
}

// subset is the name of a subset of a host, which may be a pattern.
type subset struct{ host, name string }

// index reads the snapshot once, for all checks.
func (c *checker) index() {
	for d := range c.snapshot.Rules.Values() {
		for _, one := range d.Spec.GetSubsets() {
			c.subsets[subset{d.Host, one.GetName()}] = true
		}
	}
	for p := range c.in.Pods.Values() {
		proxy, ok := mesh.ProxyIn(p)
		if !ok {
			continue
		}
		c.proxied[p.Namespace] = true
		c.proxies[p.Namespace] = append(c.proxies[p.Namespace], p)
		if proxy == mesh.Sidecar {
			c.sidecars[p.Namespace] = append(c.sidecars[p.Namespace], p)
		}
	}
}

func (c *checker) report(p mesh.Problem) { c.found = append(c.found, p) }

// guard runs a check of objects.
func (c *checker) guard(check func(), objects ...resource.Object) {
	before := c.found
	c.found = nil
	if problem := mesh.Guarded(mesh.Pilot, check); problem != nil {
		for _, o := range objects {
			problem.Object = o
			c.report(*problem)
		}
	}
	c.found = append(before, mesh.LimitProblems(c.found)...)
}
