package analyze

import (
	"fmt"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

// entries checks the services that the ServiceEntries of one namespace define for one host, the oldest first.
func (c *checker) entries(group table.Table[*mesh.Service]) {
	root := c.snapshot.Settings.RootNamespace
	var older *mesh.Service
	for s := range group.Values() {
		report := func(field, reason string, args ...any) {
			c.report(mesh.Problem{Object: s.Object, Field: field, Reason: fmt.Sprintf(reason, args...)})
		}
		switch own := mesh.Exported(s.ExportTo, s.Namespace, s.Namespace); {
		case c.snapshot.Service(s.Host) != nil:
			report("spec.hosts", "%s is the name of %s, which decides", s.Host, c.snapshot.Service(s.Host).Object)
		case older != nil && exportedToAll(older.ExportTo):
			report("spec.hosts", "%s is older and decides for %s: write all ports of a host in one ServiceEntry", older.Object, s.Host)
		case s.Namespace == root:
		case !own:
			report("spec.exportTo", "leaves out namespace %s, whose callers it is for: for callers of others, write it in their namespaces, or in %s", s.Namespace, root)
		case !c.proxied[s.Namespace]:
			report("spec.hosts", "is for callers of namespace %s, where no proxy is: for all callers, write it in %s", s.Namespace, root)
		}
		if older == nil {
			older = s
		}
	}
}

// called returns the service that a rule of a namespace means by a host, or nil. One of the root namespace may be for a host that
// only other namespaces know.
func (c *checker) called(host, namespace string) *mesh.Service {
	if s := c.snapshot.Service(host); s != nil {
		return s
	}
	if s := c.snapshot.ServiceFor(host, namespace); s != nil || namespace != c.snapshot.Settings.RootNamespace {
		return s
	}
	var found *mesh.Service
	eachEntry(c.snapshot.Entries.Get(host), func(s *mesh.Service) bool {
		found = s
		return false
	})
	return found
}

// eachEntry yields the services of one host in all namespaces, and reports whether all were wanted.
func eachEntry(byNamespace table.Groups[*mesh.Service], yield func(*mesh.Service) bool) bool {
	for entries := range byNamespace.Values() {
		for s := range entries.Values() {
			if !yield(s) {
				return false
			}
		}
	}
	return true
}
