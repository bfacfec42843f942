package envoy

import (
	"maps"
	"slices"
	"testing"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/scope"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

// TestDomainHasOneOwner has hosts that claim the same domains: a Kubernetes Service keeps its own names, a service of another origin
// has its host unless an older one or a Kubernetes Service has it, and a host of a VirtualService yields to all of them.
func TestDomainHasOneOwner(t *testing.T) {
	names := func(object resource.Object, namespace, name string) *mesh.Service {
		return &mesh.Service{Object: object, Host: mesh.HostOf(namespace, name), Kubernetes: &mesh.KubernetesNames{Name: mesh.Name{Namespace: namespace, Name: name}}}
	}
	host := func(s *mesh.Service, created int64) *virtualHost {
		own, others := domainsOf(s, "ns")
		h := &virtualHost{object: s.Object, created: time.Unix(created, 0), own: len(own), name: string(s.Object), domains: slices.Concat(own, others)}
		h.frame = frameOf(&routev3.VirtualHost{Name: h.name, Domains: h.domains})
		return h
	}
	services := map[string]*virtualHost{}
	for _, h := range []*virtualHost{
		host(names("Service/ns/a", "ns", "a"), 9),
		host(&mesh.Service{Object: "ServiceEntry/ns/older", Host: "api.example.com", Addresses: []string{"192.0.2.1"}}, 1),
		host(&mesh.Service{Object: "ServiceEntry/ns/younger", Host: "api.example.com", Addresses: []string{"192.0.2.2"}}, 2),
		host(&mesh.Service{Object: "ServiceEntry/ns/none", Host: "api.example.com"}, 3),
		host(&mesh.Service{Object: "ServiceEntry/ns/name", Host: "a.ns"}, 0),
	} {
		services[string(h.object)] = h
	}
	c := &collector{scope: scope.Scope{Outbound: &scope.Outbound{}}}
	for _, domain := range []string{"a.ns.svc", "api.example.com", "free.example.com"} {
		c.hosts = append(c.hosts, &virtualHost{object: resource.Object("VirtualService/ns/" + domain), name: domain, domains: []string{domain}})
	}
	got := map[resource.Object][]string{}
	for _, h := range c.claim("80", table.Of(services)) {
		got[h.object] = h.domains
	}
	want := map[resource.Object][]string{
		"Service/ns/a":                       {"a.ns.svc.cluster.local", "a.ns", "a.ns.svc", "a"},
		"ServiceEntry/ns/older":              {"api.example.com", "192.0.2.1"},
		"ServiceEntry/ns/younger":            {"192.0.2.2"},
		"VirtualService/ns/free.example.com": {"free.example.com"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("domains (-want +got):\n%s", diff)
	}
	told := map[resource.Object]bool{}
	for _, p := range c.problems {
		told[p.Object] = true
	}
	if diff := cmp.Diff([]resource.Object{"ServiceEntry/ns/name", "ServiceEntry/ns/none", "VirtualService/ns/a.ns.svc", "VirtualService/ns/api.example.com"}, slices.Sorted(maps.Keys(told))); diff != "" {
		t.Errorf("problems of (-want +got):\n%s", diff)
	}
}
