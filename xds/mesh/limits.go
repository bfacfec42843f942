package mesh

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

// What one object may come to. A port of a Service is a cluster, and one that speaks HTTP a listener and routes, in every proxy
// of the mesh; each has all rules of the VirtualService for the service.
const (
	maxPorts       = 1000
	maxHTTPPorts   = 100
	maxSubsetPorts = 50 // of a service of which every subset gets a cluster

	// maxUnregisteredBytes bounds, in bytes, the rules for hosts that are not Services, on all their ports together.
	maxUnregisteredBytes = 4 * istioconfig.MaxRuleBytes
)

// AllowsSubsets tells whether the service's endpoints can be divided into subsets.
func (s *Service) AllowsSubsets() bool { return len(s.Ports) <= maxSubsetPorts }

func (s *Service) httpPorts() int {
	n := 0
	for _, p := range s.Ports {
		if p.Protocol.IsHTTP() {
			n++
		}
	}
	return n
}

// portsOf lists the ports of a Service that proxies know, with what is spoken there: none if they are far too many, and no
// HTTP if those are too many. unfollowed tells its author.
func portsOf(k *corev1.Service) (ports []corev1.ServicePort, protocol func(corev1.ServicePort) Protocol) {
	ports, http := countPorts(k)
	if protocol = protocolOf; http > maxHTTPPorts {
		protocol = func(p corev1.ServicePort) Protocol {
			if protocolOf(p).IsHTTP() {
				return TCP
			}
			return protocolOf(p)
		}
	}
	if len(ports) > maxPorts {
		ports = nil
	}
	return ports, protocol
}

func countPorts(k *corev1.Service) (ports []corev1.ServicePort, http int) {
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

// tooManyPorts reports what a Service's ports are too many for.
func tooManyPorts(k *corev1.Service) []Problem {
	ports, http := countPorts(k)
	var problems []Problem
	for _, b := range []struct {
		n, most   int
		what, not string
	}{
		{len(ports), maxPorts, "ports", "none can be called through the mesh"},
		{http, maxHTTPPorts, "HTTP ports", "they are treated as TCP, and no VirtualService has an effect on them"},
		{len(ports), maxSubsetPorts, "ports", "subsets of DestinationRules have no effect"},
	} {
		if b.n > b.most {
			reason := fmt.Sprintf("%d %s are more than %d: %s; write several Services", b.n, b.what, b.most, b.not)
			problems = append(problems, Problem{Object: resource.Object("Service/" + k.Namespace + "/" + k.Name), Field: "spec.ports", Reason: reason})
		}
	}
	return problems
}

// TooLargeFor tells whether the rules would be too much for a service, if all hosts of the VirtualService had as many ports.
func (v *VirtualService) TooLargeFor(s *Service) bool {
	return v.hostWeight*s.httpPorts()*v.bytes > istioconfig.MaxRuleBytes
}

// mayBeTooLarge tells whether there can be a service that the rules are too much for.
func (v *VirtualService) mayBeTooLarge() bool {
	return v.hostWeight*maxHTTPPorts*v.bytes > istioconfig.MaxRuleBytes
}

// TooLargeUnregistered tells whether the rules are too much for the hosts that are not Services.
func (s *Snapshot) TooLargeUnregistered(v *VirtualService) bool {
	hosts, ports := s.unregisteredWeight(v)
	return hosts*ports*v.bytes > maxUnregisteredBytes
}

// TooLargeAtGateways tells whether the rules would be too much for the hosts that the VirtualService has, at all servers of all
// Gateways that it names together: one for "*" has all of theirs.
func (s *Snapshot) TooLargeAtGateways(v *VirtualService) bool {
	return s.hostsAtGateways(v)*v.bytes > istioconfig.MaxRuleBytes
}

func (s *Snapshot) hostsAtGateways(v *VirtualService) int {
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
