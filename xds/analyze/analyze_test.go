package analyze

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	networking "istio.io/api/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// problems are all findings of a mesh without proxies.
func problems(s *mesh.Snapshot) []mesh.Problem { return slices.Concat(s.Problems, Check(s)) }

func routesTo(namespace, name, host string) istioconfig.Object {
	return istioconfig.Object{Kind: istioconfig.VirtualService, Namespace: namespace, Name: name, Spec: &networking.VirtualService{
		Hosts: []string{host}, Http: []*networking.HTTPRoute{{Route: []*networking.HTTPRouteDestination{{Destination: &networking.Destination{Host: host}}}}},
	}}
}

func subsetOf(namespace, name, host string) istioconfig.Object {
	return istioconfig.Object{Kind: istioconfig.DestinationRule, Namespace: namespace, Name: name, Spec: &networking.DestinationRule{
		Host: host, Subsets: []*networking.Subset{{Name: "v1", Labels: map[string]string{"version": "v1"}}},
	}}
}

// TestRuleOfNamespaceWithoutProxy lets the first proxy of a namespace come and go.
func TestRuleOfNamespaceWithoutProxy(t *testing.T) {
	in := mesh.Inputs{MeshNamespace: "root"}
	mesh.Add(&in.Services, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "s"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}})
	mesh.AddConfig(&in.Config, routesTo("b", "v", "s.a.svc.cluster.local"), subsetOf("b", "r", "s.a.svc.cluster.local"))
	alone := mesh.Build(nil, in)
	with := in
	mesh.Add(&with.Pods, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "b", Name: "p", Labels: map[string]string{"security.istio.io/tlsMode": "istio"}}})
	withProxy := mesh.Build(alone, with)
	if len(problems(alone)) != 2 || len(problems(withProxy)) != 0 {
		t.Errorf("problems without a proxy: %v, want two; with one: %v, want none", problems(alone), problems(withProxy))
	}
	if diff := cmp.Diff(problems(alone), problems(mesh.Build(withProxy, in))); diff != "" {
		t.Errorf("after the proxy left (-before +after):\n%s", diff)
	}
}

// TestWildcardRuleOfNamespaceWithoutProxy adds and removes what a rule for many hosts is checked against.
func TestWildcardRuleOfNamespaceWithoutProxy(t *testing.T) {
	service := func(namespace string) *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "s"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}}
	}
	in := mesh.Inputs{MeshNamespace: "root"}
	mesh.Add(&in.Services, service("a"))
	wildcard := routesTo("b", "v", "s.a.svc.cluster.local")
	wildcard.Spec.(*networking.VirtualService).Hosts = []string{"*.cluster.local"}
	mesh.AddConfig(&in.Config, wildcard, subsetOf("b", "r", "*.cluster.local"))
	const reason = "decides for callers of namespace b, where no proxy is: for all callers, write it in %s or root"
	both := func(where string) []mesh.Problem {
		reason := fmt.Sprintf(reason, where)
		return []mesh.Problem{{Object: "DestinationRule/b/r", Field: "spec.host", Reason: reason}, {Object: "VirtualService/b/v", Field: "spec.hosts[0]", Reason: reason}}
	}
	alone := mesh.Build(nil, in)
	if diff := cmp.Diff(both("a"), problems(alone)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	for name, c := range map[string]struct {
		change func(*mesh.Inputs)
		want   []mesh.Problem
	}{
		"a service of a fourth namespace": {func(in *mesh.Inputs) { mesh.Add(&in.Services, service("c")) }, both("the namespaces of the services")},
		"a service of its own":            {func(in *mesh.Inputs) { mesh.Add(&in.Services, service("b")) }, nil},
		"a proxy of its own": {func(in *mesh.Inputs) {
			mesh.Add(&in.Pods, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "b", Name: "p", Labels: map[string]string{"security.istio.io/tlsMode": "istio"}}})
		}, nil},
	} {
		with := in
		c.change(&with)
		after := mesh.Build(alone, with)
		if diff := cmp.Diff(c.want, problems(after)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(problems(alone), problems(mesh.Build(after, in))); diff != "" {
			t.Errorf("%s, and back (-before +after):\n%s", name, diff)
		}
	}
}

// TestProblemsPerObjectAreBounded has two rules that lead nowhere, one of them in many ways, and one that is invalid in many.
func TestProblemsPerObjectAreBounded(t *testing.T) {
	const most = 20
	many, invalid := routesTo("a", "many", "s"), routesTo("a", "invalid", "s")
	for i := range 1000 {
		elsewhere := &networking.HTTPRouteDestination{Destination: &networking.Destination{Host: fmt.Sprintf("x%d", i)}, Weight: 1}
		spec := many.Spec.(*networking.VirtualService)
		spec.Http[0].Route = append(spec.Http[0].Route, elsewhere)
		spec = invalid.Spec.(*networking.VirtualService)
		spec.Http = append(spec.Http, &networking.HTTPRoute{Route: []*networking.HTTPRouteDestination{{}}})
	}
	in := mesh.Inputs{MeshNamespace: "root"}
	mesh.AddConfig(&in.Config, many, invalid, routesTo("a", "one", "t"))
	count, more := map[resource.Object]int{}, 0
	for _, p := range problems(mesh.Build(nil, in)) {
		count[p.Object]++
		if strings.HasSuffix(p.Reason, " more problems") {
			more++
		}
	}
	if n := count["VirtualService/a/many"]; n != most+1 || count["VirtualService/a/invalid"] != n || count["VirtualService/a/one"] != 1 || more != 2 {
		t.Errorf("problems by object: %v, %d say that there are more; want %d of those that have many", count, more, most+1)
	}
}

// TestPanicInCheckNamesObjects panics in the check of two rules.
func TestPanicInCheckNamesObjects(t *testing.T) {
	c := &checker{}
	c.guard(func() { panic("odd") }, "DestinationRule/a/x", "DestinationRule/a/y")
	if len(c.found) != 2 || c.found[0].Object != "DestinationRule/a/x" || c.found[1].Object != "DestinationRule/a/y" || c.found[0].Stack == "" {
		t.Errorf("the panic is a problem of %+v, want of both rules", c.found)
	}
}

// BenchmarkCheck checks a mesh of a thousand services with a VirtualService and a DestinationRule each.
func BenchmarkCheck(b *testing.B) {
	in := mesh.Inputs{MeshNamespace: "root"}
	for i := range 1000 {
		namespace, name := fmt.Sprintf("n%d", i%20), fmt.Sprintf("w%d", i)
		meta := metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"security.istio.io/tlsMode": "istio"}}
		mesh.Add(&in.Services, &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}})
		mesh.Add(&in.Pods, &corev1.Pod{ObjectMeta: meta})
		mesh.AddConfig(&in.Config, routesTo(namespace, name, name), subsetOf(namespace, name, name))
	}
	s := mesh.Build(nil, in)
	for b.Loop() {
		if found := Check(s); len(found) > 0 {
			b.Fatal(found)
		}
	}
}
