package mesh

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	networking "istio.io/api/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/resource"
)

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

// TestIncrementalChecks counts the rules that are checked again in a mesh where every service has two.
func TestIncrementalChecks(t *testing.T) {
	in := Inputs{MeshNamespace: "root"}
	add := func(in *Inputs, i int, port int32) {
		name := fmt.Sprintf("s%d", i)
		Add(&in.Services, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: port}}}})
		AddConfig(&in.Config, routesTo("a", name, name), subsetOf("a", name, name))
	}
	for i := range 50 {
		add(&in, i, 80)
	}
	elsewhere := routesTo("a", "late", "s0")
	elsewhere.Spec.(*networking.VirtualService).Hosts = []string{"s99"}
	AddConfig(&in.Config, elsewhere)
	before := Build(nil, in)
	for name, c := range map[string]struct {
		change        func(*Inputs)
		routes, rules int
	}{
		"nothing":          {func(*Inputs) {}, 0, 0},
		"a service's port": {func(in *Inputs) { add(in, 7, 81) }, 1, 1},
		"another service":  {func(in *Inputs) { add(in, 50, 80) }, 1, 1},
		"a service that a rule is for": {func(in *Inputs) {
			Add(&in.Services, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "s99"}})
		}, 1, 0},
		"a rule of its own": {func(in *Inputs) {
			AddConfig(&in.Config, routesTo("a", "other", "elsewhere.com"))
		}, 1, 0},
		"a younger rule": {func(in *Inputs) { AddConfig(&in.Config, routesTo("a", "t", "s7")) }, 1, 0},
		"an older rule":  {func(in *Inputs) { AddConfig(&in.Config, routesTo("a", "r", "s7")) }, 2, 0},
		"a subset":       {func(in *Inputs) { AddConfig(&in.Config, subsetOf("b", "r", "s7.a.svc.cluster.local")) }, 0, 1},
		"subsets of all": {func(in *Inputs) { AddConfig(&in.Config, subsetOf("b", "r", "*")) }, 51, 1},
	} {
		with := in
		c.change(&with)
		found := Build(before, with).toRecheck(before)
		if got := [2]int{len(found.routes), len(found.rules)}; got != [2]int{c.routes, c.rules} {
			t.Errorf("%s: %d routes and %d rules are checked, want %d and %d", name, got[0], got[1], c.routes, c.rules)
		}
	}
}

// TestRuleOfNamespaceWithoutProxy lets the first proxy of a namespace come and go.
func TestRuleOfNamespaceWithoutProxy(t *testing.T) {
	in := Inputs{MeshNamespace: "root"}
	Add(&in.Services, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "s"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}})
	AddConfig(&in.Config, routesTo("b", "v", "s.a.svc.cluster.local"), subsetOf("b", "r", "s.a.svc.cluster.local"))
	alone := Build(nil, in)
	with := in
	Add(&with.Pods, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "b", Name: "p", Labels: map[string]string{tlsModeLabel: "istio"}}})
	withProxy := Build(alone, with)
	if len(alone.Problems) != 2 || len(withProxy.Problems) != 0 {
		t.Errorf("problems without a proxy: %v, want two; with one: %v, want none", alone.Problems, withProxy.Problems)
	}
	if diff := cmp.Diff(alone.Problems, Build(withProxy, in).Problems); diff != "" {
		t.Errorf("after the proxy left (-before +after):\n%s", diff)
	}
}

// TestWildcardRuleOfNamespaceWithoutProxy adds and removes what a rule for many hosts is checked against.
func TestWildcardRuleOfNamespaceWithoutProxy(t *testing.T) {
	service := func(namespace string) *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "s"}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}}
	}
	in := Inputs{MeshNamespace: "root"}
	Add(&in.Services, service("a"))
	wildcard := routesTo("b", "v", "s.a.svc.cluster.local")
	wildcard.Spec.(*networking.VirtualService).Hosts = []string{"*.cluster.local"}
	AddConfig(&in.Config, wildcard, subsetOf("b", "r", "*.cluster.local"))
	const reason = "decides for callers of namespace b, where no proxy is: for all callers, write it in %s or root"
	both := func(where string) []Problem {
		reason := fmt.Sprintf(reason, where)
		return []Problem{{Object: "DestinationRule/b/r", Field: "spec.host", Reason: reason}, {Object: "VirtualService/b/v", Field: "spec.hosts[0]", Reason: reason}}
	}
	alone := Build(nil, in)
	if diff := cmp.Diff(both("a"), alone.Problems); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	for name, c := range map[string]struct {
		change func(*Inputs)
		want   []Problem
	}{
		"a service of a fourth namespace": {func(in *Inputs) { Add(&in.Services, service("c")) }, both("the namespaces of the services")},
		"a service of its own":            {func(in *Inputs) { Add(&in.Services, service("b")) }, nil},
		"a proxy of its own": {func(in *Inputs) {
			Add(&in.Pods, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "b", Name: "p", Labels: map[string]string{tlsModeLabel: "istio"}}})
		}, nil},
	} {
		with := in
		c.change(&with)
		after := Build(alone, with)
		if diff := cmp.Diff(c.want, after.Problems); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(alone.Problems, Build(after, in).Problems); diff != "" {
			t.Errorf("%s, and back (-before +after):\n%s", name, diff)
		}
	}
}

// TestProblemsPerObjectAreBounded has two rules that lead nowhere, one of them in many ways, and one that is invalid in many.
func TestProblemsPerObjectAreBounded(t *testing.T) {
	many, invalid := routesTo("a", "many", "s"), routesTo("a", "invalid", "s")
	for i := range 1000 {
		elsewhere := &networking.HTTPRouteDestination{Destination: &networking.Destination{Host: fmt.Sprintf("x%d", i)}, Weight: 1}
		spec := many.Spec.(*networking.VirtualService)
		spec.Http[0].Route = append(spec.Http[0].Route, elsewhere)
		spec = invalid.Spec.(*networking.VirtualService)
		spec.Http = append(spec.Http, &networking.HTTPRoute{Route: []*networking.HTTPRouteDestination{{}}})
	}
	in := Inputs{MeshNamespace: "root"}
	AddConfig(&in.Config, many, invalid, routesTo("a", "one", "t"))
	count, more := map[resource.Object]int{}, 0
	for _, p := range Build(nil, in).Problems {
		count[p.Object]++
		if strings.HasSuffix(p.Reason, " more problems") {
			more++
		}
	}
	if n := count["VirtualService/a/many"]; n != maxProblems+1 || count["VirtualService/a/invalid"] != n || count["VirtualService/a/one"] != 1 || more != 2 {
		t.Errorf("problems by object: %v, %d say that there are more; want %d of those that have many", count, more, maxProblems+1)
	}
}
