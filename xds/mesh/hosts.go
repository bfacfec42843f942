package mesh

import (
	"maps"
	"slices"
	"strings"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
)

// HostSet is hosts and patterns of hosts. To look one up costs the same whatever their number.
type HostSet struct {
	list  []string
	known map[string]bool
	wild  map[string]bool // of the patterns what comes after the asterisk

	partial bool // a pattern begins within a label
}

func newHostSet(hosts []string) HostSet {
	s := HostSet{list: hosts, known: map[string]bool{}, wild: map[string]bool{}}
	for _, h := range hosts {
		s.known[h] = true
		if suffix, ok := strings.CutPrefix(h, "*"); ok {
			s.wild[suffix] = true
			s.partial = s.partial || istioconfig.PartialWildcard(h)
		}
	}
	return s
}

// includes tells whether one of them means all that host does.
func (s HostSet) includes(host string) bool {
	if s.known[host] || s.wild[""] {
		return true
	}
	if len(s.wild) == 0 {
		return false
	}
	rest, wild := strings.CutPrefix(host, "*")
	for i := range len(rest) {
		if (rest[i] == '.' || s.partial) && (i > 0 || wild) && s.wild[rest[i:]] {
			return true
		}
	}
	return false
}

// ServerHosts are the hosts of a Gateway's server by the namespace whose VirtualServices they are for; "*" is any.
type ServerHosts map[string]HostSet

// NewServerHosts prepares hosts as a Gateway of the namespace writes them.
func NewServerHosts(namespace string, hosts []string) ServerHosts {
	lists := map[string][]string{}
	for _, h := range hosts {
		owner, host, ok := strings.Cut(h, "/")
		if !ok {
			owner, host = "*", h
		}
		if owner == "." {
			owner = namespace
		}
		lists[owner] = append(lists[owner], ResolveHost(host, namespace))
	}
	sets := ServerHosts{}
	for owner, list := range lists {
		sets[owner] = newHostSet(list)
	}
	return sets
}

// Common intersects them with a VirtualService's. Of two patterns of which one includes the other, the narrower is common.
func (s ServerHosts) Common(v *VirtualService) []string {
	found := map[string]bool{}
	for _, owner := range []string{"*", v.Namespace} {
		server := s[owner]
		for _, host := range server.list {
			if v.hosts.includes(host) {
				found[host] = true
			}
		}
		for _, host := range v.Hosts {
			if server.includes(host) {
				found[host] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// Includes tells whether every host that b means is one that a means.
func Includes(a, b string) bool {
	if a == "*" || a == b {
		return true
	}
	suffix, ok := strings.CutPrefix(a, "*")
	return ok && b != "*" && strings.HasSuffix(strings.TrimPrefix(b, "*"), suffix) && (strings.HasPrefix(b, "*") || len(b) > len(suffix))
}

// Patterns lists the hosts that mean host, the most specific first: a.b.c, *.b.c, *.c, *. Patterns that begin within a label, such as
// *b.c, are listed only while a rule has one: they are many.
func (l *Lookup) Patterns(host string) []string {
	list := []string{host}
	if !l.partial.Empty() {
		rest := strings.TrimPrefix(host, "*")
		for i := 1; i < len(rest); i++ {
			list = append(list, "*"+rest[i:])
		}
		return append(list, "*")
	}
	for rest := strings.TrimPrefix(host, "*."); ; {
		_, after, ok := strings.Cut(rest, ".")
		if !ok {
			return append(list, "*")
		}
		rest = after
		list = append(list, "*."+rest)
	}
}
