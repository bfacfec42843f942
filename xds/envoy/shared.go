package envoy

import (
	"slices"
	"strconv"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/scope"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

// Shared is the outbound configuration that the sidecars of one namespace have in common, those that no rule distinguishes.
// It is immutable.
type Shared struct {
	outbound  *scope.Outbound
	settings  *mesh.Settings
	telemetry *mesh.Telemetry
	set       *resource.Set
	addresses table.Groups[*resource.Resource] // TCP listeners, by name and the claim of the service
	hosts     table.Groups[*virtualHost]       // by port and orderOf
	chains    table.Groups[*sharedChain]       // by port and age
	faults    table.Table[*faults]             // by the object they were found in
	lastGood  table.Table[*part]               // by host: the last good translation of services whose translation has panicked since
}

// portNumber is the number of a port's name in Shared.hosts.
func portNumber(name string) uint32 {
	n, _ := strconv.ParseUint(name, 10, 32)
	return uint32(n)
}

type faults struct{ problems []mesh.Problem }

// Share translates the part of s that scopes of other sidecars have in common with it. It starts from before, which may be
// nil, was made for another scope of the same share key, and is not changed. The result does not depend on before.
func (b *Builder) Share(before *Shared, s scope.Scope) *Shared {
	if before == nil || before.settings.Key != s.Settings.Key || before.telemetry.Key != s.Telemetry.Key {
		before = &Shared{outbound: &scope.Outbound{}, settings: s.Settings, telemetry: s.Telemetry}
	}
	if before.outbound.Key == s.Outbound.Key {
		return before
	}
	now := *before
	now.outbound, now.settings, now.telemetry = s.Outbound, s.Settings, s.Telemetry
	for c := range table.Diff(before.outbound.Services, s.Outbound.Services) {
		now.replace(c.Key, b.service(s, c.Old), b.service(s, c.New))
	}
	c := newCollector(b, s)
	c.fixedClusters()
	c.tracingClusters()
	c.logClusters()
	c.virtualOutbound()
	now.set = now.set.Put(c.resources...)
	now.report("fixed", c.problems)
	for _, port := range changedPorts(before, &now) {
		now.port(newCollector(b, s), port)
	}
	return &now
}

// service translates the outbound configuration of one service: a function of its view and of nearCaller. A removed service
// has none.
func (b *Builder) service(s scope.Scope, view *scope.Service) part {
	if view == nil {
		return part{}
	}
	near := nearCaller(view.Service, s.Outbound.Namespace)
	s.Outbound, s.Inbound = nil, nil
	key := mesh.NewHash().Add(view.Sum(), s.Settings.Key, s.Telemetry.Key, near).Bool(s.IPv4).Bool(s.IPv6)
	return b.services.get(key.Key(), func() part {
		return buildPart([]resource.Object{view.Object}, func(d *draft) {
			c := newCollector(b, s)
			c.near = near
			c.withoutTelemetry(func(c *collector) { c.clusters(view) })
			c.addressListeners(view)
			c.withoutTelemetry(func(c *collector) { c.virtualHosts(view) })
			d.part = c.part
			d.claim = claimOf(view.Service)
		})
	})
}

// nearCaller is the caller's namespace if the service, or one of its aliases, is in it; for other callers, which use full names
// only, it is empty.
func nearCaller(s *mesh.Service, caller string) string {
	if s.Namespace == caller || s.HasShortName(caller) {
		return caller
	}
	return ""
}

// replace replaces the translation of a service. If the new translation panicked, the old one stays.
func (s *Shared) replace(host string, before, now part) {
	if was := s.lastGood.Get(host); was != nil {
		before = *was
	}
	if now.panicked() {
		s.lastGood = s.lastGood.With(host, &before)
		s.report(host, now.problems)
		return
	}
	s.lastGood = s.lastGood.Without(host)
	kept := map[*resource.Resource]bool{}
	for _, r := range now.resources {
		kept[r] = before.claim == now.claim
	}
	for _, r := range before.resources {
		if !kept[r] {
			s.remove(before.claim, r)
		}
	}
	for _, r := range now.resources {
		s.put(now.claim, r)
	}
	for _, h := range before.hosts {
		if !slices.Contains(now.hosts, h) {
			s.hosts = s.hosts.Without(number(h.port), h.order())
		}
	}
	for _, h := range now.hosts {
		s.hosts = s.hosts.With(number(h.port), h.order(), h)
	}
	s.replaceChains(before.chains, now.chains)
	s.report(host, now.problems)
}

func (s *Shared) remove(claim string, r *resource.Resource) {
	if r.Type == resource.Listener {
		s.addresses = s.addresses.Without(r.Name, claim)
		s.resolveAddress(r.Name)
		return
	}
	s.set = s.set.With(r.Type, s.set.Of(r.Type).Without(r.Name))
}

func (s *Shared) put(claim string, r *resource.Resource) {
	if r.Type == resource.Listener {
		s.addresses = s.addresses.With(r.Name, claim, r)
		s.resolveAddress(r.Name)
		return
	}
	if s.set.Of(r.Type).Get(r.Name) != r {
		s.set = s.set.Put(r)
	}
}

// claimOf orders services that claim an address: those of Kubernetes by host, then those of ServiceEntries, the oldest first.
func claimOf(s *mesh.Service) string {
	if s.External() {
		return "~" + s.Age() // after all hosts
	}
	return s.Host
}

// resolveAddress gives an address to the first of the services that claim it, and records a problem of the others.
func (s *Shared) resolveAddress(name string) {
	listeners := s.set.Of(resource.Listener).Without(name)
	var problems []mesh.Problem
	for r := range s.addresses.Get(name).Values() {
		if listeners.Get(name) == nil {
			listeners = listeners.With(name, r)
			continue
		}
		for _, o := range r.Sources {
			problems = append(problems, mesh.Problem{Object: o, Field: "spec.ports", Reason: name + " is an address of another service"})
		}
	}
	s.set = s.set.With(resource.Listener, listeners)
	s.report(name, problems)
}

// report replaces the problems of one object.
func (s *Shared) report(about string, problems []mesh.Problem) {
	if len(problems) == 0 {
		s.faults = s.faults.Without(about)
		return
	}
	s.faults = s.faults.With(about, &faults{mesh.LimitProblems(problems)})
}

// Problems are those of the shared part. Nil has none.
func (s *Shared) Problems() []mesh.Problem {
	if s == nil {
		return nil
	}
	var all []mesh.Problem
	for f := range s.faults.Values() {
		all = append(all, f.problems...)
	}
	return all
}

// changedPorts lists the ports whose routes differ from before, with those of hosts that are not Services.
func changedPorts(before, now *Shared) []string {
	var ports []string
	for c := range table.Diff(before.hosts.Table, now.hosts.Table) {
		ports = append(ports, c.Key)
	}
	for c := range table.Diff(before.chains.Table, now.chains.Table) {
		ports = append(ports, c.Key)
	}
	slices.Sort(ports)
	ports = slices.Compact(ports)
	var changed []*mesh.Ports
	for c := range table.Diff(before.outbound.Foreign, now.outbound.Foreign) {
		for _, f := range []*scope.Foreign{c.Old, c.New} {
			if f != nil {
				changed = append(changed, f.On)
			}
		}
	}
	if len(changed) == 0 {
		return ports
	}
	for port := range now.hosts.All() {
		if slices.ContainsFunc(changed, func(p *mesh.Ports) bool { return p.Has(portNumber(port)) }) {
			ports = append(ports, port)
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}
