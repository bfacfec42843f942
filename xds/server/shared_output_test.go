package server

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/xds/envoy"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/scope"
)

// sharingMesh has two workloads, x with two replicas and y, in one namespace.
func sharingMesh() mesh.Inputs {
	in := mesh.Inputs{MeshNamespace: "root"}
	for i, name := range []string{"x", "y"} {
		meta := metav1.ObjectMeta{Namespace: "a", Name: name}
		mesh.Add(&in.Services, someService(meta, byte(41+i)))
		for _, replica := range []string{"-0", "-1"} {
			meta.Name = name + replica
			mesh.Add(&in.Pods, somePod(meta, name, byte(2*i), 2)) // even: IPv4 only
		}
	}
	return in
}

func outputOf(t *testing.T, b *envoy.Builder, v *views, pod string) *output {
	t.Helper()
	proxy, ok := v.snapshot().Proxy("a", pod)
	if !ok {
		t.Fatalf("no pod %s", pod)
	}
	return v.output(b, v.scopes.Scope(scope.ClassOf(*proxy)))
}

// TestNamespacesShareBytes compares pointers: replicas have one set, workloads of a namespace the same resources but for what
// they receive, and after a change all that it did not touch stays where it is in memory.
func TestNamespacesShareBytes(t *testing.T) {
	in, b := sharingMesh(), envoy.NewBuilder()
	v := newViews(nil, mesh.Build(nil, in))
	x, y := outputOf(t, b, v, "x-0").set, outputOf(t, b, v, "y-0").set
	if outputOf(t, b, v, "x-1").set != x {
		t.Error("two replicas have a set each")
	}
	compare := func(what string, from, to *resource.Set, differ map[string]bool) {
		t.Helper()
		for _, typ := range resource.Types {
			for name, r := range from.Of(typ).All() {
				if same := to.Of(typ).Get(name) == r; same == differ[typ.Short()+" "+name] {
					t.Errorf("%s: %s %s is one object in memory: %v", what, typ.Short(), name, same)
				}
			}
		}
	}
	compare("two workloads", x, y, map[string]bool{"LDS virtualInbound": true, "CDS inbound|80||": true, "CDS inbound|90||": true})
	mesh.Add(&in.EndpointSlices, someSlice(metav1.ObjectMeta{Namespace: "a", Name: "x", CreationTimestamp: metav1.Unix(1, 0)}, 3))
	next := newViews(v, mesh.Build(v.snapshot(), in))
	compare("after a change", x, outputOf(t, b, next, "x-0").set, map[string]bool{"EDS outbound|80||x.a.svc.cluster.local": true, "EDS outbound|90||x.a.svc.cluster.local": true})
	before := outputOf(t, b, next, "y-0")
	if outputOf(t, b, newViews(next, mesh.Build(next.snapshot(), in)), "y-0") != before {
		t.Error("a snapshot like the one before has sets of its own")
	}
}

// TestShareKeysAreUnambiguous has one namespace a with both families of addresses, and one 6a with IPv4 only.
func TestShareKeysAreUnambiguous(t *testing.T) {
	in := mesh.Inputs{MeshNamespace: "root"}
	for namespace, ips := range map[string][]corev1.PodIP{"a": {{IP: "10.1.0.1"}, {IP: "fd00::1"}}, "6a": {{IP: "10.1.0.2"}}} {
		pod := somePod(metav1.ObjectMeta{Namespace: namespace, Name: "x-0"}, "x", 0, 2)
		pod.Status.PodIPs = ips
		mesh.Add(&in.Pods, pod)
		mesh.Add(&in.Services, someService(metav1.ObjectMeta{Namespace: namespace, Name: "x"}, 41))
	}
	setFor := func(b *envoy.Builder, v *views, namespace string) *resource.Set {
		proxy, _ := v.snapshot().Proxy(namespace, "x-0")
		return v.output(b, v.scopes.Scope(scope.ClassOf(*proxy))).set
	}
	b, v := envoy.NewBuilder(), newViews(nil, mesh.Build(nil, in))
	for _, namespace := range []string{"a", "6a"} {
		alone := setFor(envoy.NewBuilder(), newViews(nil, mesh.Build(nil, in)), namespace)
		for typ, names := range Compare(alone, setFor(b, v, namespace)) {
			t.Errorf("beside the other, namespace %s has other %s: %v", namespace, typ.Short(), names)
		}
	}
}

// TestSharedProblemsAreReportedOnce has many workloads in one namespace, and services that all claim one address.
func TestSharedProblemsAreReportedOnce(t *testing.T) {
	var in mesh.Inputs
	for i := range 20 {
		meta := metav1.ObjectMeta{Namespace: "a", Name: fmt.Sprintf("w%d", i)}
		mesh.Add(&in.Services, someService(meta, 41))
		mesh.Add(&in.Pods, somePod(meta, meta.Name, 0, 2))
	}
	snapshot := mesh.Build(nil, in)
	p := push{views: newViews(nil, snapshot), builder: envoy.NewBuilder(), seen: map[*output]bool{}, reported: map[*envoy.Shared]bool{}}
	for pod := range in.Pods.Values() {
		proxy, _ := snapshot.Proxy("a", pod.Name)
		p.output(scope.ClassOf(*proxy))
	}
	counts := map[mesh.Problem]int{}
	for _, problem := range p.problems {
		counts[problem]++
	}
	if len(counts) == 0 {
		t.Fatal("no problems")
	}
	for problem, n := range counts {
		if n > 1 {
			t.Errorf("%v is there %d times", problem, n)
		}
	}
}
