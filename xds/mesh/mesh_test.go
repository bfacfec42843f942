package mesh

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	networking "istio.io/api/networking/v1alpha3"
	security "istio.io/api/security/v1beta1"
	typev1beta1 "istio.io/api/type/v1beta1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
)

func TestProtocolOf(t *testing.T) {
	app := func(s string) *string { return &s }
	for _, c := range []struct {
		reason string
		port   corev1.ServicePort
		want   Protocol
	}{
		{"no name is TCP", corev1.ServicePort{}, TCP},
		{"the name's prefix decides", corev1.ServicePort{Name: "http-web"}, HTTP},
		{"and it may be all of the name", corev1.ServicePort{Name: "HTTP"}, HTTP},
		{"a prefix ends at a dash", corev1.ServicePort{Name: "http2foo"}, TCP},
		{"gRPC is HTTP/2", corev1.ServicePort{Name: "grpc-api"}, HTTP2},
		{"gRPC-Web is what its proxy makes of it", corev1.ServicePort{Name: "grpc-web-ui"}, GRPCWeb},
		{"and a prefix of its own", corev1.ServicePort{Name: "grpc-webui"}, HTTP2},
		{"HTTPS is TLS that is not looked into", corev1.ServicePort{Name: "https"}, TLS},
		{"appProtocol beats the name", corev1.ServicePort{Name: "http", AppProtocol: app("tcp")}, TCP},
		{"by its prefix too", corev1.ServicePort{Name: "x", AppProtocol: app("http-web")}, HTTP},
		{"also Kubernetes' own ones", corev1.ServicePort{Name: "x", AppProtocol: app("kubernetes.io/h2c")}, HTTP2},
		{"server-first protocols are never guessed", corev1.ServicePort{Name: "mysql"}, TCP},
	} {
		if got := protocolOf(c.port); got != c.want {
			t.Errorf("%s: protocolOf(%s) = %s, want %s", c.reason, c.port.Name, got, c.want)
		}
	}
}

func TestProtocolMerge(t *testing.T) {
	for _, c := range []struct {
		a, b, want Protocol
		ok         bool
	}{
		{HTTP, HTTP, HTTP, true}, {TCP, TCP, TCP, true}, {HTTP, HTTP2, AnyHTTP, true}, {AnyHTTP, HTTP, AnyHTTP, true}, {HTTP2, GRPCWeb, GRPCWeb, true},
		{HTTP, GRPCWeb, HTTP, false}, {HTTP, TCP, HTTP, false}, {TLS, HTTP2, TLS, false}, {AnyHTTP, GRPCWeb, AnyHTTP, false},
	} {
		if got, ok := c.a.merge(c.b); got != c.want || ok != c.ok {
			t.Errorf("%s and %s are %s, %t, want %s, %t", c.a, c.b, got, ok, c.want, c.ok)
		}
	}
}

func peerAuthentication(namespace, name string, age int, spec *security.PeerAuthentication) istioconfig.Object {
	return istioconfig.Object{Kind: istioconfig.PeerAuthentication, Namespace: namespace, Name: name, Created: time.Unix(int64(1000-age), 0), Spec: spec}
}

func mode(m security.PeerAuthentication_MutualTLS_Mode) *security.PeerAuthentication_MutualTLS {
	return &security.PeerAuthentication_MutualTLS{Mode: m}
}

func TestPolicies(t *testing.T) {
	const strict, permissive, disable, unset = security.PeerAuthentication_MutualTLS_STRICT, security.PeerAuthentication_MutualTLS_PERMISSIVE,
		security.PeerAuthentication_MutualTLS_DISABLE, security.PeerAuthentication_MutualTLS_UNSET
	selector := &typev1beta1.WorkloadSelector{MatchLabels: map[string]string{"app": "a"}}
	mesh := peerAuthentication("root", "mesh", 9, &security.PeerAuthentication{Mtls: mode(strict)})
	for reason, c := range map[string]struct {
		config []istioconfig.Object
		port   uint32
		want   MTLSMode
	}{
		"nothing said is what the mesh's settings say": {nil, 80, Permissive},
		"the root namespace's is all's":                {[]istioconfig.Object{mesh}, 80, Strict},
		"one with a selector in the root is only for the root": {[]istioconfig.Object{
			peerAuthentication("root", "x", 1, &security.PeerAuthentication{Selector: selector, Mtls: mode(strict)})}, 80, Permissive},
		"a namespace overrides the mesh": {[]istioconfig.Object{mesh,
			peerAuthentication("ns", "x", 1, &security.PeerAuthentication{Mtls: mode(disable)})}, 80, Disable},
		"UNSET inherits": {[]istioconfig.Object{mesh,
			peerAuthentication("ns", "x", 1, &security.PeerAuthentication{Mtls: mode(unset)})}, 80, Strict},
		"the stricter of two holds, though it is younger": {[]istioconfig.Object{
			peerAuthentication("ns", "a", 2, &security.PeerAuthentication{Mtls: mode(permissive)}),
			peerAuthentication("ns", "b", 1, &security.PeerAuthentication{Mtls: mode(strict)})}, 80, Strict},
		"of two for a workload too": {[]istioconfig.Object{
			peerAuthentication("ns", "a", 2, &security.PeerAuthentication{Selector: selector, Mtls: mode(permissive)}),
			peerAuthentication("ns", "b", 1, &security.PeerAuthentication{Selector: selector, Mtls: mode(strict)})}, 80, Strict},
		"an exception for a port opens nothing that another policy closes": {[]istioconfig.Object{
			peerAuthentication("ns", "a", 2, &security.PeerAuthentication{Selector: selector, PortLevelMtls: map[uint32]*security.PeerAuthentication_MutualTLS{80: mode(disable)}}),
			peerAuthentication("ns", "b", 1, &security.PeerAuthentication{Selector: selector, Mtls: mode(strict)})}, 80, Strict},
		"of two for a port the stricter holds": {[]istioconfig.Object{mesh,
			peerAuthentication("ns", "a", 2, &security.PeerAuthentication{Selector: selector, PortLevelMtls: map[uint32]*security.PeerAuthentication_MutualTLS{80: mode(disable)}}),
			peerAuthentication("ns", "b", 1, &security.PeerAuthentication{Selector: selector, PortLevelMtls: map[uint32]*security.PeerAuthentication_MutualTLS{80: mode(permissive)}})}, 80, Permissive},
		"a policy without a mode for a port leaves it to others": {[]istioconfig.Object{mesh,
			peerAuthentication("ns", "a", 2, &security.PeerAuthentication{Selector: selector, PortLevelMtls: map[uint32]*security.PeerAuthentication_MutualTLS{80: mode(disable)}}),
			peerAuthentication("ns", "b", 1, &security.PeerAuthentication{Selector: selector, PortLevelMtls: map[uint32]*security.PeerAuthentication_MutualTLS{90: mode(disable)}})}, 80, Disable},
		"UNSET of a port is the mode of the workload": {[]istioconfig.Object{
			peerAuthentication("ns", "a", 2, &security.PeerAuthentication{Selector: selector, Mtls: mode(strict), PortLevelMtls: map[uint32]*security.PeerAuthentication_MutualTLS{80: mode(unset)}})}, 80, Strict},
		"a workload's port overrides the workload": {[]istioconfig.Object{mesh,
			peerAuthentication("ns", "x", 1, &security.PeerAuthentication{Selector: selector, PortLevelMtls: map[uint32]*security.PeerAuthentication_MutualTLS{80: mode(permissive)}})}, 80, Permissive},
		"and only that port": {[]istioconfig.Object{mesh,
			peerAuthentication("ns", "x", 1, &security.PeerAuthentication{Selector: selector, PortLevelMtls: map[uint32]*security.PeerAuthentication_MutualTLS{80: mode(permissive)}})}, 81, Strict},
		"ports need a selector": {[]istioconfig.Object{mesh,
			peerAuthentication("ns", "x", 1, &security.PeerAuthentication{PortLevelMtls: map[uint32]*security.PeerAuthentication_MutualTLS{80: mode(permissive)}})}, 80, Strict},
		"another workload's is not this one's": {[]istioconfig.Object{mesh,
			peerAuthentication("ns", "x", 1, &security.PeerAuthentication{Selector: &typev1beta1.WorkloadSelector{MatchLabels: map[string]string{"app": "b"}}, Mtls: mode(disable)})}, 80, Strict},
	} {
		p := Build(nil, Inputs{MeshNamespace: "root", MTLS: Permissive, Config: Config(c.config...)}).index.policies
		if got := p.of("ns", map[string]string{"app": "a"}).on(c.port); got != c.want {
			t.Errorf("%s: got %s, want %s", reason, got, c.want)
		}
	}
}

func smallMesh() Inputs {
	name, port := "http", int32(8080)
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "ns", Name: name} }
	service, pod := meta("a"), meta("a-1")
	pod.Labels = map[string]string{"app": "a", tlsModeLabel: "istio"}
	slice := meta("a-x")
	slice.Labels = map[string]string{discoveryv1.LabelServiceName: "a"}
	no := false
	return Inputs{
		MeshNamespace: "root",
		Services: Objects(&corev1.Service{ObjectMeta: service, Spec: corev1.ServiceSpec{
			ClusterIP: "10.96.0.1", Selector: map[string]string{"app": "a"},
			Ports: []corev1.ServicePort{{Name: name, Port: 80, TargetPort: intstr.FromString("web")}, {Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP}},
		}}),
		Pods: Objects(
			&corev1.Pod{ObjectMeta: pod, Spec: corev1.PodSpec{InitContainers: []corev1.Container{{Name: "done", Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 1}}}},
				Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: port}}}}}, Status: corev1.PodStatus{PodIP: "10.1.0.1"}},
			&corev1.Pod{ObjectMeta: meta("over"), Status: corev1.PodStatus{Phase: corev1.PodSucceeded, PodIP: "10.1.0.1"}},
		),
		EndpointSlices: Objects(&discoveryv1.EndpointSlice{ObjectMeta: slice, Ports: []discoveryv1.EndpointPort{{Name: &name, Port: &port}}, Endpoints: []discoveryv1.Endpoint{
			{Addresses: []string{"10.1.0.1"}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: "a-1"}},
			{Addresses: []string{"10.1.0.2"}, Conditions: discoveryv1.EndpointConditions{Ready: &no}},
		}}),
		Config: Config(istioconfig.Object{Kind: istioconfig.VirtualService, Namespace: "ns", Name: "v", Spec: &networking.VirtualService{
			Hosts: []string{"a"}, Http: []*networking.HTTPRoute{{Route: []*networking.HTTPRouteDestination{{Destination: &networking.Destination{Host: "a"}}}}},
		}}),
	}
}

func TestBuild(t *testing.T) {
	s := Build(nil, smallMesh())
	if len(s.Problems) > 0 {
		t.Errorf("problems: %v", s.Problems)
	}
	want := []Endpoint{{Address: "10.1.0.1", Port: 8080, PodAddress: true, MTLS: true, Account: "ns/default", Labels: map[string]string{"app": "a", tlsModeLabel: "istio"}, Workload: "a-1;ns;a;latest;Kubernetes"}}
	if diff := cmp.Diff(want, s.Service("a.ns.svc.cluster.local").Ports[0].Endpoints); diff != "" {
		t.Errorf("endpoints (-want +got):\n%s", diff)
	}
	p, ok := s.Proxy("ns", "a-1")
	if !ok || len(p.Inbound) != 1 || p.Inbound[0].Port != 8080 || p.Inbound[0].ServicePort != 80 || p.Inbound[0].Protocol != HTTP {
		t.Errorf("proxy %+v, %v: want the named port 8080 of service port 80", p, ok)
	}
	if _, ok := s.Proxy("ns", "over"); ok {
		t.Error("a pod that has ended is a proxy")
	}
}

// TestEndpointsWithoutTargetRef shows that a pod is known behind an address too, in its own namespace only.
func TestEndpointsWithoutTargetRef(t *testing.T) {
	for namespace, want := range map[string]string{"ns": "ns/default", "other": ""} {
		in := smallMesh()
		service, slice := in.Services.Get("ns/a").DeepCopy(), in.EndpointSlices.Get("ns/a-x").DeepCopy()
		service.Namespace, service.Spec.Selector = namespace, nil
		slice.Namespace, slice.Endpoints[0].TargetRef = namespace, nil
		in.Services, in.EndpointSlices = Objects(service), Objects(slice)
		e := Build(nil, in).Service("a." + namespace + ".svc.cluster.local").Ports[0].Endpoints[0]
		if e.Account != want || e.MTLS != (want != "") {
			t.Errorf("in namespace %s: endpoint %+v, want account %q", namespace, e, want)
		}
	}
}

// TestExternalNameServiceSelectsNoPods shows that a Service of type ExternalName says nothing about pods.
func TestExternalNameServiceSelectsNoPods(t *testing.T) {
	in := smallMesh()
	in.Services.Get("ns/a").Spec.Type = corev1.ServiceTypeExternalName
	if p, _ := Build(nil, in).Proxy("ns", "a-1"); len(p.Inbound) > 0 {
		t.Errorf("inbound ports %+v, want none", p.Inbound)
	}
}

// TestUnchangedPartsKeepTheirPointers shows that a change replaces what it touches and nothing else.
func TestUnchangedPartsKeepTheirPointers(t *testing.T) {
	in := smallMesh()
	before := Build(nil, in)
	after := Build(before, in)
	if before.Services != after.Services || before.VirtualServices != after.VirtualServices {
		t.Error("equal inputs make new parts")
	}
	slice := in.EndpointSlices.Get("ns/a-x").DeepCopy()
	slice.Endpoints = slice.Endpoints[1:]
	Add(&in.EndpointSlices, slice)
	changed := Build(after, in)
	if changed.Services == after.Services || changed.VirtualServices != after.VirtualServices {
		t.Error("a changed slice must replace its service alone")
	}
	if len(after.Service("a.ns.svc.cluster.local").Ports[0].Endpoints) != 1 {
		t.Error("the snapshot before has changed")
	}
}

// TestInvalidObjectKeepsLastValidVersion shows that an error in an edit does not undo what worked.
func TestInvalidObjectKeepsLastValidVersion(t *testing.T) {
	in := smallMesh()
	before := Build(nil, in)
	AddConfig(&in.Config, istioconfig.Object{Kind: istioconfig.VirtualService, Namespace: "ns", Name: "v", Generation: 2, Spec: &networking.VirtualService{}})
	for range 2 {
		after := Build(before, in)
		if len(after.Problems) == 0 {
			t.Error("no problem is reported")
		}
		if after.VirtualServices.Len() != 1 || after.VirtualServices != before.VirtualServices {
			t.Error("the last valid version is gone")
		}
		before = after
	}
	another := *in.Config.Get("VirtualService/ns/v")
	another.UID = "another"
	recreated := in
	AddConfig(&recreated.Config, another)
	if after := Build(before, recreated); !after.VirtualServices.Empty() {
		t.Error("a version of an object that was deleted decides for one of its name")
	}
	if fresh := Build(nil, in); !fresh.VirtualServices.Empty() {
		t.Error("an object that never was valid has an effect")
	}
}

func TestResolve(t *testing.T) {
	for in, want := range map[string]string{
		"reviews": "reviews.ns.svc.cluster.local", "Reviews": "reviews.ns.svc.cluster.local", "a.b.c.": "a.b.c", "*": "*", "*.example.com": "*.example.com",
	} {
		if got := ResolveHost(in, "ns"); got != want {
			t.Errorf("ResolveHost(%q) = %q, want %q", in, got, want)
		}
	}
	got := ResolveGateways([]string{"mesh", "gw", "other/gw", "gw.other.svc.cluster.local", "./gw"}, "ns")
	if diff := cmp.Diff([]string{"mesh", "ns/gw", "other/gw", "other/gw", "ns/gw"}, got); diff != "" {
		t.Errorf("gateways (-want +got):\n%s", diff)
	}
}

// FuzzHash shows that two lists of values are hashed alike only if they are alike.
func FuzzHash(f *testing.F) {
	f.Add("a", "b", "ab", "")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		if (a != c || b != d) && NewHash().Add(a, b).Key() == NewHash().Add(c, d).Key() {
			t.Errorf("%q, %q and %q, %q have one key", a, b, c, d)
		}
		if NewHash().List([]string{a}).Add(b).Key() == NewHash().List([]string{a, b}).Key() {
			t.Errorf("a list of one and another value are a list of two: %q, %q", a, b)
		}
	})
}

// TestSourceSelectorLookup counts allocations: one tenant's rules with thousands of selectors must not
// hold up everybody's configuration.
func TestSourceSelectorLookup(t *testing.T) {
	var in Inputs
	for name := range 20 {
		route := &networking.HTTPRoute{Route: []*networking.HTTPRouteDestination{{Destination: &networking.Destination{Host: "x"}}}}
		for i := range 50 {
			route.Match = append(route.Match, &networking.HTTPMatchRequest{SourceLabels: map[string]string{"n": strconv.Itoa(name*50 + i)}})
		}
		AddConfig(&in.Config, istioconfig.Object{Kind: istioconfig.VirtualService, Namespace: "a", Name: fmt.Sprint(name), Spec: &networking.VirtualService{
			Hosts: []string{"x"}, Http: []*networking.HTTPRoute{route},
		}})
	}
	lookup := Build(nil, in).Lookup
	key := SelectorKey(map[string]string{"n": "7"})
	if diff := cmp.Diff(map[string]string{"n": "7"}, lookup.SourceSelector(key)); diff != "" {
		t.Error(diff)
	}
	if n := testing.AllocsPerRun(10, func() { lookup.SourceSelector(key) }); n > 20 {
		t.Errorf("finding one of 1000 selectors allocates %v times", n)
	}
}
