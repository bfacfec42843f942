package mesh

import (
	"maps"
	"slices"
	"strings"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
)

// CommonHosts intersects a server's hosts, which may say whose VirtualServices they are for, with a VirtualService's. Of
// two patterns of which one includes the other, the narrower is common.
func CommonHosts(gatewayNamespace string, serverHosts []string, v *VirtualService) []string {
	found := map[string]bool{}
	for _, s := range serverHosts {
		namespace, host, ok := strings.Cut(s, "/")
		if !ok {
			namespace, host = "*", s
		}
		if namespace == "." {
			namespace = gatewayNamespace
		}
		if namespace != "*" && namespace != v.Namespace {
			continue
		}
		for _, own := range v.Hosts {
			if common, ok := narrower(ResolveHost(host, gatewayNamespace), own); ok {
				found[common] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// TooLarge tells whether the rules would be too much for so many hosts of a gateway, of which a VirtualService for "*" has all.
func (v *VirtualService) TooLarge(hosts int) bool { return hosts*v.bytes > istioconfig.MostBytes }

func narrower(a, b string) (string, bool) {
	switch {
	case Includes(a, b):
		return b, true
	case Includes(b, a):
		return a, true
	}
	return "", false
}

// Includes tells whether every host that b means is one that a means.
func Includes(a, b string) bool {
	if a == "*" || a == b {
		return true
	}
	suffix, ok := strings.CutPrefix(a, "*")
	return ok && b != "*" && strings.HasSuffix(strings.TrimPrefix(b, "*"), suffix) && (strings.HasPrefix(b, "*") || len(b) > len(suffix))
}

// Patterns lists the hosts that mean host, the most specific first: a.b.c, *.b.c, *.c, *.
func Patterns(host string) []string {
	list := []string{host}
	for rest := strings.TrimPrefix(host, "*."); ; {
		_, after, ok := strings.Cut(rest, ".")
		if !ok {
			return append(list, "*")
		}
		rest = after
		list = append(list, "*."+rest)
	}
}
