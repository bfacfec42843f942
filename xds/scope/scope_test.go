package scope

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
	"github.com/mesh-operator/mesh-operator/xds/table"
)

func snapshot(config ...istioconfig.Object) *mesh.Snapshot {
	return mesh.Build(nil, mesh.Inputs{MeshNamespace: "root", Config: mesh.Config(config...), Services: smallServices()})
}

func smallServices() table.Table[*corev1.Service] {
	return mesh.Objects(
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "pay"}, Spec: corev1.ServiceSpec{ClusterIP: "10.0.0.1", Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}},
	)
}

func rule(namespace, host string, labels map[string]string) istioconfig.Object {
	r := &networking.HTTPRoute{Route: []*networking.HTTPRouteDestination{{Destination: &networking.Destination{Host: host}}}}
	if labels != nil {
		r.Match = []*networking.HTTPMatchRequest{{SourceLabels: labels}}
	}
	return istioconfig.Object{Kind: istioconfig.VirtualService, Namespace: namespace, Name: "v", Spec: &networking.VirtualService{
		Hosts: []string{"pay.shop.svc.cluster.local"}, Http: []*networking.HTTPRoute{r},
	}}
}

func sidecar(namespace string, labels map[string]string) mesh.Proxy {
	return mesh.Proxy{Type: mesh.Sidecar, Namespace: namespace, Labels: labels, IPs: []string{"10.1.0.1"}, DefaultMode: mesh.Strict}
}

func TestIndistinguishableProxiesShareScopes(t *testing.T) {
	s := snapshot(rule("shop", "pay", map[string]string{"version": "v2"}))
	v1, v2 := map[string]string{"version": "v1"}, map[string]string{"version": "v2"}
	for reason, c := range map[string]struct {
		a, b mesh.Proxy
		same bool
	}{
		"other labels do not matter":           {sidecar("web", v1), sidecar("web", map[string]string{"pod": "7"}), true},
		"labels that a rule asks for do":       {sidecar("web", v1), sidecar("web", v2), false},
		"callers of other namespaces differ":   {sidecar("web", v1), sidecar("shop", v1), false},
		"an address of another family differs": {sidecar("web", v1), mesh.Proxy{Type: mesh.Sidecar, Namespace: "web", Labels: v1, IPs: []string{"fd00::1"}, DefaultMode: mesh.Strict}, false},
		"what is received differs":             {sidecar("web", v1), mesh.Proxy{Type: mesh.Sidecar, Namespace: "web", Labels: v1, IPs: []string{"10.1.0.1"}, DefaultMode: mesh.Permissive}, false},
	} {
		if same := For(s, c.a).Key() == For(s, c.b).Key(); same != c.same {
			t.Errorf("%s: equal keys %v, want %v", reason, same, c.same)
		}
	}
	v := NewViews(nil, s)
	if v.Scope(ClassOf(sidecar("web", v1))).Outbound != v.Scope(ClassOf(sidecar("web", nil))).Outbound {
		t.Error("proxies of one partition have two views")
	}
}

// TestVirtualServiceOfThirdNamespaceIsIgnored is about ISTIO-SECURITY-2026-002: a rule of namespace evil for a service of namespace
// shop is for evil's own calls.
func TestVirtualServiceOfThirdNamespaceIsIgnored(t *testing.T) {
	for namespace, owner := range map[string]string{"web": "", "evil": "evil"} {
		s := snapshot(rule("evil", "stolen", nil))
		got := ""
		if v := For(s, sidecar(namespace, nil)).Outbound.Services.Get("pay.shop.svc.cluster.local").Routes; v != nil {
			got = v.Namespace
		}
		if got != owner {
			t.Errorf("calls from %s follow a rule of namespace %q, want %q", namespace, got, owner)
		}
	}
	for _, namespace := range []string{"shop", "root"} {
		s := snapshot(rule(namespace, "pay", nil))
		if For(s, sidecar("web", nil)).Outbound.Services.Get("pay.shop.svc.cluster.local").Routes == nil {
			t.Errorf("a rule of namespace %s is not followed", namespace)
		}
	}
}

// TestDestinationRuleOfThirdNamespaceIsIgnored is the same for DestinationRules: which certificates are asked for is a policy too.
func TestDestinationRuleOfThirdNamespaceIsIgnored(t *testing.T) {
	for author, follow := range map[string]map[string]bool{
		"evil": {"web": false, "shop": false, "evil": true},
		"shop": {"web": true, "shop": true, "evil": true},
		"root": {"web": true, "shop": true, "evil": true},
	} {
		s := snapshot(istioconfig.Object{Kind: istioconfig.DestinationRule, Namespace: author, Name: "d", Spec: &networking.DestinationRule{
			Host: "pay.shop.svc.cluster.local", TrafficPolicy: &networking.TrafficPolicy{Tls: &networking.ClientTLSSettings{Mode: networking.ClientTLSSettings_DISABLE}},
		}})
		for caller, want := range follow {
			if got := For(s, sidecar(caller, nil)).Outbound.Services.Get("pay.shop.svc.cluster.local").Rule != nil; got != want {
				t.Errorf("calls from %s follow a rule of namespace %s: %v, want %v", caller, author, got, want)
			}
		}
	}
}

// TestRootNamespaceRuleKeepsServiceSubsets: the namespace of the mesh is the gateways' own as well, and they follow a service's
// rule before one for the whole mesh, as all other callers do.
func TestRootNamespaceRuleKeepsServiceSubsets(t *testing.T) {
	whole := istioconfig.Object{Kind: istioconfig.DestinationRule, Namespace: "root", Name: "default", Spec: &networking.DestinationRule{
		Host: "*.local", TrafficPolicy: &networking.TrafficPolicy{Tls: &networking.ClientTLSSettings{Mode: networking.ClientTLSSettings_ISTIO_MUTUAL}},
	}}
	own := istioconfig.Object{Kind: istioconfig.DestinationRule, Namespace: "shop", Name: "pay", Spec: &networking.DestinationRule{
		Host: "pay", Subsets: []*networking.Subset{{Name: "v1", Labels: map[string]string{"version": "v1"}}},
	}}
	for _, caller := range []string{"web", "shop", "root"} {
		if r := For(snapshot(whole), sidecar(caller, nil)).Outbound.Services.Get("pay.shop.svc.cluster.local").Rule; r == nil || r.Policy == nil {
			t.Errorf("calls from %s do not follow the mesh's rule: %+v", caller, r)
		}
		r := For(snapshot(whole, own), sidecar(caller, nil)).Outbound.Services.Get("pay.shop.svc.cluster.local").Rule
		if r == nil || r.Policy != nil {
			t.Errorf("calls from %s do not follow the service's rule: %+v", caller, r)
		}
	}
}

func TestPatterns(t *testing.T) {
	if diff := cmp.Diff([]string{"a.b.c", "*.b.c", "*.c", "*"}, (&mesh.Lookup{}).Patterns("a.b.c")); diff != "" {
		t.Error(diff)
	}
}

// TestPartialWildcard has rules for hosts with a wildcard within a label: the longest pattern decides, and what does not end so
// has none.
func TestPartialWildcard(t *testing.T) {
	routes := func(host, name string) istioconfig.Object {
		o := rule("shop", "pay", nil)
		o.Name, o.Spec.(*networking.VirtualService).Hosts = name, []string{host}
		return o
	}
	policy := func(host, name string) istioconfig.Object {
		return istioconfig.Object{Kind: istioconfig.DestinationRule, Namespace: "shop", Name: name, Spec: &networking.DestinationRule{Host: host, TrafficPolicy: &networking.TrafficPolicy{}}}
	}
	both := func(host, name string) []istioconfig.Object {
		return []istioconfig.Object{routes(host, name), policy(host, name)}
	}
	for want, objects := range map[string][]istioconfig.Object{
		"b": slices.Concat(both("*.shop.svc.cluster.local", "a"), both("*ay.shop.svc.cluster.local", "b"), both("*y.shop.svc.cluster.local", "c")),
		"c": slices.Concat(both("*.cluster.local", "a"), both("*ray.shop.svc.cluster.local", "b"), both("*p.svc.cluster.local", "c")),
		"":  both("*pay.shop.svc.cluster.local", "a"),
	} {
		s := For(snapshot(objects...), sidecar("web", nil)).Outbound.Services.Get("pay.shop.svc.cluster.local")
		var got [2]string
		if s.Routes != nil {
			got[0] = s.Routes.Name
		}
		if s.Rule != nil {
			got[1] = strings.TrimPrefix(string(s.Rule.Sources[0]), "DestinationRule/shop/")
		}
		if got != [2]string{want, want} {
			t.Errorf("routes and policy of %q, want those of %q", got, want)
		}
	}
}

// TestServicesAreExported shows that a Service limits by exportTo which namespaces see it.
func TestServicesAreExported(t *testing.T) {
	for exportTo, want := range map[string][]string{
		"": {"shop", "web"}, "*": {"shop", "web"}, ".": {"shop"}, "web, x": {"web"}, "~": nil,
	} {
		service := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "pay", Annotations: map[string]string{"networking.istio.io/exportTo": exportTo}},
			Spec:       corev1.ServiceSpec{ClusterIP: "10.0.0.1", Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
		}
		s := mesh.Build(nil, mesh.Inputs{MeshNamespace: "root", Services: mesh.Objects(service)})
		var got []string
		for _, namespace := range []string{"shop", "web"} {
			if !For(s, sidecar(namespace, nil)).Outbound.Services.Empty() {
				got = append(got, namespace)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("exportTo %q (-want +got):\n%s", exportTo, diff)
		}
	}
}

// TestWildcardChangeTouchesMatchingHosts lists the hosts that are looked at again when a rule for a pattern comes.
func TestWildcardChangeTouchesMatchingHosts(t *testing.T) {
	in := mesh.Inputs{MeshNamespace: "root"}
	for _, namespace := range []string{"shop", "web"} {
		mesh.Add(&in.Services, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "pay"}})
	}
	before := mesh.Build(nil, in)
	const shop, web = "pay.shop.svc.cluster.local", "pay.web.svc.cluster.local"
	for pattern, want := range map[string]map[string]bool{
		"*": {shop: true, web: true}, "*.svc.cluster.local": {shop: true, web: true}, "*.shop.svc.cluster.local": {shop: true},
		"*.op.svc.cluster.local": {}, shop: {shop: true}, "*." + shop: {},
	} {
		with := in
		mesh.AddConfig(&with.Config, istioconfig.Object{Kind: istioconfig.DestinationRule, Namespace: "shop", Name: "r", Spec: &networking.DestinationRule{Host: pattern}})
		views := NewViews(nil, before)
		views.changesOf()
		if diff := cmp.Diff(want, NewViews(views, mesh.Build(before, with)).changesOf().hosts); diff != "" {
			t.Errorf("%s (-want +got):\n%s", pattern, diff)
		}
	}
}

// TestGatewayPorts: a shared gateway listens only where one of its Services leads, and names the servers that are left out.
func TestGatewayPorts(t *testing.T) {
	in := mesh.Inputs{MeshNamespace: "root"}
	server := func(number uint32) *networking.Server {
		return &networking.Server{Port: &networking.Port{Number: number, Name: fmt.Sprintf("http-%d", number), Protocol: "HTTP"}, Hosts: []string{"*"}}
	}
	mesh.AddConfig(&in.Config, istioconfig.Object{Kind: istioconfig.Gateway, Namespace: "tenant", Name: "many", Spec: &networking.Gateway{
		Selector: map[string]string{"app": "gate"}, Servers: []*networking.Server{server(80), server(8080), server(9000), server(9001)},
	}})
	s := mesh.Build(nil, in)
	router := gate("gate")
	for name, c := range map[string]struct {
		exposed []mesh.Exposed
		ports   []uint32
		closed  int
	}{
		"a Service":  {[]mesh.Exposed{{ServicePort: 80, TargetPort: 8080}, {ServicePort: 443, TargetPort: 8443}}, []uint32{8080}, 2},
		"no Service": {nil, []uint32{80, 8080, 9000, 9001}, 0},
	} {
		router.Exposed = c.exposed
		g := For(s, router).Gateway
		var ports []uint32
		for _, p := range g.Ports {
			ports = append(ports, p.Number)
		}
		if !slices.Equal(ports, c.ports) || len(g.Problems) != c.closed {
			t.Errorf("%s: ports %v, problems %v, want %v and %d", name, ports, g.Problems, c.ports, c.closed)
		}
	}
}
