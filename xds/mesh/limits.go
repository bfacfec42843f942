package mesh

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

// What one object may come to. A port of a Service is a cluster, and one that speaks HTTP a listener and routes, in every proxy
// of the mesh; each has all rules of the VirtualService for the service.
const (
	MaxPorts       = 1000
	MaxHTTPPorts   = 100
	MaxSubsetPorts = 50 // of a service of which every subset gets a cluster

	// MaxUnregisteredBytes bounds, in bytes, the rules for hosts that are not Services, on all their ports together.
	MaxUnregisteredBytes = 4 * istioconfig.MaxRuleBytes
)

// AllowsSubsets tells whether the service's endpoints can be divided into subsets.
func (s *Service) AllowsSubsets() bool { return len(s.Ports) <= MaxSubsetPorts }

// CountHTTPPorts counts the ports that speak HTTP.
func (s *Service) CountHTTPPorts() int {
	n := 0
	for _, p := range s.Ports {
		if p.Protocol.IsHTTP() {
			n++
		}
	}
	return n
}

// portsOf lists the ports of a Service that proxies know, with what is spoken there: none if they are far too many, and no
// HTTP if those are too many. xds/analyze reports it.
func portsOf(k *corev1.Service) (ports []corev1.ServicePort, protocol func(corev1.ServicePort) Protocol) {
	ports, http := CountPorts(k)
	if protocol = protocolOf; http > MaxHTTPPorts {
		protocol = func(p corev1.ServicePort) Protocol {
			if protocolOf(p).IsHTTP() {
				return TCP
			}
			return protocolOf(p)
		}
	}
	if len(ports) > MaxPorts {
		ports = nil
	}
	return ports, protocol
}

// CountPorts lists the TCP ports of a Service and counts those that speak HTTP.
func CountPorts(k *corev1.Service) (ports []corev1.ServicePort, http int) {
	for _, p := range k.Spec.Ports {
		if !isTCP(p.Protocol) {
			continue
		}
		if ports = append(ports, p); protocolOf(p).IsHTTP() {
			http++
		}
	}
	return ports, http
}

// TooLargeFor tells whether the rules would be too much for a service, if all hosts of the VirtualService had as many ports.
func (v *VirtualService) TooLargeFor(s *Service) bool {
	return v.hostWeight*s.CountHTTPPorts()*v.bytes > istioconfig.MaxRuleBytes
}

// MayBeTooLarge tells whether there can be a service that the rules are too much for.
func (v *VirtualService) MayBeTooLarge() bool {
	return v.hostWeight*MaxHTTPPorts*v.bytes > istioconfig.MaxRuleBytes
}

// TooLargeUnregistered tells whether the rules are too much for the hosts that are not Services.
func (s *Snapshot) TooLargeUnregistered(v *VirtualService) bool {
	hosts, ports := s.UnregisteredWeight(v)
	return hosts*ports*v.bytes > MaxUnregisteredBytes
}

// TooLargeAtGateways tells whether the rules would be too much for the hosts that the VirtualService has, at all servers of all
// Gateways that it names together: one for "*" has all of theirs.
func (s *Snapshot) TooLargeAtGateways(v *VirtualService) bool {
	return s.HostsAtGateways(v)*v.bytes > istioconfig.MaxRuleBytes
}

// HostsAtGateways counts the hosts that the VirtualService has at all servers of all Gateways that it names.
func (s *Snapshot) HostsAtGateways(v *VirtualService) int {
	return s.index.gatewayHosts.Get(ageOf(v.Created, v.Object))
}

// updateGatewayHosts counts the hosts of the VirtualServices that have changed, or that are for Gateways that have.
func (s *Snapshot) updateGatewayHosts(prev *Snapshot) {
	dirty := map[string]bool{}
	for c := range table.Diff(prev.VirtualServices, s.VirtualServices) {
		dirty[c.Key] = true
	}
	for c := range table.Diff(prev.Lookup.Gateways, s.Lookup.Gateways) {
		for age := range s.Lookup.RoutesByGateway.Get(c.Key).All() {
			dirty[age] = true
		}
	}
	for age := range dirty {
		n := 0
		if v := s.VirtualServices.Get(age); v != nil {
			n = s.countGatewayHosts(v)
		}
		s.index.gatewayHosts = set(s.index.gatewayHosts, age, n, n > 0)
	}
}

func (s *Snapshot) countGatewayHosts(v *VirtualService) int {
	n := 0
	for _, name := range v.Gateways {
		if g := s.Lookup.Gateways.Get(name); g != nil {
			for _, hosts := range g.Hosts {
				n += len(hosts.Common(v))
			}
		}
	}
	return n
}
