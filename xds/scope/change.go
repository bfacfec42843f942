package scope

import (
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

// generation identifies a snapshot. What was made at another one than that which changes start from has missed some of them.
type generation struct{ _ byte }

// changes is what differs between a snapshot and the one before it, for the views of all scopes.
type changes struct {
	at, from *generation     // of the snapshot and the one before
	of       *mesh.Snapshot  // stripped
	all      bool            // nothing is known of the snapshot before: from is nil
	hosts    map[string]bool // whose services, routes or rules may be others
	routes   map[string]bool // VirtualServices, by age, that are others or lead to or stand for services that are
	ports    map[string]bool // VirtualServices, by age, in whose namespace other ports are HTTP

	wild      map[string]bool          // patterns of hosts: what comes after the asterisk
	httpPorts table.Table[*mesh.Ports] // mesh.Lookup.HTTPPorts
	partial   bool                     // one of them begins within a label
}

// changesOf finds the changes once for all scopes.
func (v *Views) changesOf() *changes {
	return v.changes.Get("", func(before **changes) *changes {
		snapshot := v.Snapshot
		now := &mesh.Snapshot{Settings: snapshot.Settings, Services: snapshot.Services, Entries: snapshot.Entries, VirtualServices: snapshot.VirtualServices, Rules: snapshot.Rules, Gateways: snapshot.Gateways}
		c := &changes{
			at: &generation{}, of: now, httpPorts: snapshot.Lookup.HTTPPorts,
			hosts: map[string]bool{}, routes: map[string]bool{}, ports: map[string]bool{}, wild: map[string]bool{},
		}
		if before == nil || (*before).of.Settings.RootNamespace != now.Settings.RootNamespace {
			c.all = true
			return c
		}
		last := *before
		c.from = last.at
		c.find(last.of, snapshot)
		for d := range table.Diff(last.httpPorts, c.httpPorts) {
			maps.Insert(c.ports, markAll(snapshot.Lookup.RoutesByNamespace.Get(d.Key)))
		}
		return c
	})
}

func (c *changes) find(before, now *mesh.Snapshot) {
	for d := range table.Diff(before.Services, now.Services) {
		c.hosts[d.Key] = true
		if !d.Had || !d.Has || d.Old.Key != d.New.Key {
			c.structure(now, d.Key)
		}
	}
	for d := range table.Diff(before.Entries, now.Entries) {
		c.hosts[d.Key] = true
		c.structure(now, d.Key)
	}
	for d := range table.Diff(before.VirtualServices, now.VirtualServices) {
		c.routes[d.Key] = true
		if d.Had {
			c.markHosts(d.Old)
		}
		if d.Has {
			c.markHosts(d.New)
		}
	}
	for d := range table.Diff(before.Gateways, now.Gateways) {
		for _, g := range []*mesh.Gateway{d.Old, d.New} {
			if g != nil { // what a VirtualService comes to depends on all that it names
				c.markRoutes(now.Lookup.RoutesByGateway.Get(nameOf(g)))
			}
		}
	}
	for d := range table.Diff(before.Rules, now.Rules) {
		if d.Had {
			c.mark(d.Old.Host)
		}
		if d.Has {
			c.mark(d.New.Host)
		}
	}
	if len(c.wild) == 0 {
		return
	}
	for host := range hostsOf(now) {
		if c.meant(host) {
			c.hosts[host] = true
		}
	}
}

// structure takes in what a service has an effect on that has changed in more than its endpoints.
func (c *changes) structure(now *mesh.Snapshot, host string) {
	for age, v := range now.Lookup.RoutesByDestination.Get(host).All() {
		c.routes[age] = true
		c.markHosts(v)
	}
	for routes := range now.Lookup.RoutesByHost.Get(host).Values() {
		c.markRoutes(routes)
	}
}

func (c *changes) markRoutes(routes table.Table[*mesh.VirtualService]) {
	maps.Insert(c.routes, markAll(routes))
}

func markAll(routes table.Table[*mesh.VirtualService]) iter.Seq2[string, bool] {
	return func(yield func(string, bool) bool) {
		for age := range routes.All() {
			if !yield(age, true) {
				return
			}
		}
	}
}

// markHosts marks the services that a VirtualService may be for. One that is bound to gateways alone is for none.
func (c *changes) markHosts(v *mesh.VirtualService) {
	if slices.Contains(v.Gateways, mesh.MeshGateway) {
		c.mark(v.Hosts...)
	}
}

func (c *changes) mark(patterns ...string) {
	for _, pattern := range patterns {
		if suffix, ok := strings.CutPrefix(pattern, "*"); ok {
			c.wild[suffix] = true
			c.partial = c.partial || istioconfig.PartialWildcard(pattern)
		} else {
			c.hosts[pattern] = true
		}
	}
}

// meant tells whether one of the patterns means host. There may be as many as tenants care to write.
func (c *changes) meant(host string) bool {
	for i := range len(host) {
		if (host[i] == '.' || c.partial && i > 0) && c.wild[host[i:]] {
			return true
		}
	}
	return c.wild[""]
}
