package mesh

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/mesh-operator/mesh-operator/xds/table"
)

// A host of a VirtualService that is not a Service has no ports of its own. Its rules hold on defaultHTTPPort, on the ports of
// its destinations, and on the HTTP ports of the Services of the VirtualService's namespace. Nothing of this depends on the
// Services of other namespaces, except that a destination there may have one port: so no other tenant can make the rules too
// large, or cause them to be sent on more ports.
const defaultHTTPPort = 80

// Ports is a set of port numbers. It is immutable.
type Ports struct {
	numbers map[uint32]bool
	key     string
}

func newPorts(numbers map[uint32]bool) *Ports {
	h := NewHash()
	for _, n := range slices.Sorted(maps.Keys(numbers)) {
		h.Uint(uint64(n))
	}
	return &Ports{numbers, h.Key()}
}

// Has reports whether the number is in the set. Nil is empty.
func (p *Ports) Has(number uint32) bool { return p != nil && p.numbers[number] }

// Key is the hash of the numbers.
func (p *Ports) Key() string {
	if p == nil {
		return ""
	}
	return p.key
}

// destinationPorts lists the port numbers that destinations name, and the hosts of those that name none.
func destinationPorts(spec *networking.VirtualService, namespace string) (numbers []uint32, open []string) {
	ports, hosts := map[uint32]bool{}, map[string]bool{}
	for _, r := range spec.GetHttp() {
		for _, d := range destinationsOf(r) {
			if n := d.GetPort().GetNumber(); n != 0 {
				ports[n] = true
			} else {
				hosts[ResolveHost(d.GetHost(), namespace)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(ports)), slices.Sorted(maps.Keys(hosts))
}

// UnregisteredPorts returns the ports on which the rules hold for hosts that are not Services. single has the ports of the
// destinations that have only one.
func (s *Snapshot) UnregisteredPorts(v *VirtualService, single map[string]uint32) *Ports {
	numbers := map[uint32]bool{defaultHTTPPort: true}
	for _, n := range v.destinationPorts {
		numbers[n] = true
	}
	for _, host := range v.openDestinations {
		if n, ok := single[host]; ok {
			numbers[n] = true
		}
	}
	if own := s.Lookup.HTTPPorts.Get(v.Namespace); own != nil {
		maps.Copy(numbers, own.numbers)
	}
	return newPorts(numbers)
}

// UnregisteredWeight counts the hosts that are not Services and, at most, their ports. A host of another namespace counts even
// while a Service has it: the owner of that Service may delete it. A destination without a port counts as one.
func (s *Snapshot) UnregisteredWeight(v *VirtualService) (hosts, ports int) {
	for _, host := range v.Hosts {
		if service := s.Service(host); service == nil || service.Namespace != v.Namespace {
			hosts++
		}
	}
	own := s.Lookup.HTTPPorts.Get(v.Namespace)
	ports = len(v.openDestinations)
	if own != nil {
		ports += len(own.numbers)
	}
	for _, n := range v.destinationPorts {
		if n != defaultHTTPPort && !own.Has(n) {
			ports++
		}
	}
	if !own.Has(defaultHTTPPort) {
		ports++
	}
	return hosts, ports
}

// putPorts takes the HTTP ports of a service in or out.
func (x *index) putPorts(s *Service, in bool) {
	if s == nil {
		return
	}
	for _, p := range s.Ports {
		if p.Protocol.IsHTTP() {
			x.httpPorts = setIn(x.httpPorts, s.Namespace, fmt.Sprintf("%d %s", p.Number, s.Host), true, in)
		}
	}
}

// updateHTTPPorts follows the Services of the namespaces that have changed.
func (s *Snapshot) updateHTTPPorts(prev *Snapshot) {
	for c := range table.Diff(prev.index.httpPorts.Table, s.index.httpPorts.Table) {
		if !c.Has {
			s.Lookup.HTTPPorts = s.Lookup.HTTPPorts.Without(c.Key)
			continue
		}
		numbers := map[uint32]bool{}
		for key := range c.New.All() {
			text, _, _ := strings.Cut(key, " ")
			n, _ := strconv.ParseUint(text, 10, 32) // putPorts wrote it
			numbers[uint32(n)] = true
		}
		if now := newPorts(numbers); now.Key() != s.Lookup.HTTPPorts.Get(c.Key).Key() {
			s.Lookup.HTTPPorts = s.Lookup.HTTPPorts.With(c.Key, now)
		}
	}
}
