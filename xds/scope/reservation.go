package scope

import (
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// reservation is a server that says, by hosts of the form namespace/host, whose VirtualServices its hosts are for. On its
// port it keeps those hosts from the Gateways of other namespaces that are younger: without that, a tenant that is kept out of
// a Gateway would write another for the same gateway and port.
type reservation struct {
	gateway *mesh.Gateway
	spec    *networking.Server
}

// Refusal is a host that an object does not get, because an older Gateway keeps it for other namespaces.
type Refusal struct {
	Object resource.Object
	Field  string
	Host   string
	By     resource.Object
}

func reserves(server *networking.Server) bool {
	return slices.ContainsFunc(server.GetHosts(), func(h string) bool {
		namespace, _, ok := strings.Cut(h, "/")
		return ok && namespace != "*"
	})
}

// excludes tells whether host is for other namespaces than this one.
func (r reservation) excludes(host, namespace string) bool {
	kept := false
	for _, h := range r.spec.GetHosts() {
		owner, pattern, ok := strings.Cut(h, "/")
		if !ok {
			owner, pattern = "*", h
		}
		if owner == "." {
			owner = r.gateway.Namespace
		}
		if !mesh.Includes(mesh.ResolveHost(pattern, r.gateway.Namespace), host) {
			continue
		}
		if owner == "*" || owner == namespace {
			return false
		}
		kept = true
	}
	return kept
}

// reservationFor returns the oldest reservation of another Gateway's namespace that keeps host from namespace, or nil.
func reservationFor(older []reservation, gateway *mesh.Gateway, host, namespace string) *reservation {
	for i, r := range older {
		if r.gateway.Namespace != gateway.Namespace && r.excludes(host, namespace) {
			return &older[i]
		}
	}
	return nil
}

// admitHosts drops the hosts of a server that an older one keeps from its Gateway's namespace.
func (s *Server) admitHosts() {
	for _, h := range s.Spec.GetHosts() {
		host := mesh.ResolveHost(mesh.HostPart(h), s.Gateway.Namespace)
		if r := reservationFor(s.older, s.Gateway, host, s.Gateway.Namespace); r != nil {
			s.refusals = append(s.refusals, Refusal{s.Gateway.Object, "hosts", host, r.gateway.Object})
			continue
		}
		s.Hosts = append(s.Hosts, h)
	}
	if s.served = s.Gateway.Hosts[s.Index]; len(s.refusals) > 0 {
		s.served = mesh.NewServerHosts(s.Gateway.Namespace, s.Hosts)
	}
}

// admitRoutes tells apart the hosts of a VirtualService that an older server keeps from its namespace.
func (s *Server) admitRoutes(v *mesh.VirtualService, hosts []string) (admitted []string, refusals []Refusal) {
	for _, host := range hosts {
		if r := reservationFor(s.older, s.Gateway, host, v.Namespace); r != nil {
			refusals = append(refusals, Refusal{v.Object, "spec.hosts", host, r.gateway.Object})
		} else {
			admitted = append(admitted, host)
		}
	}
	return admitted, refusals
}
