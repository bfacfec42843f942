package scope

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	networking "istio.io/api/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/analyze"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

func told(s *mesh.Snapshot, reason string) bool {
	for _, p := range analyze.Check(s) {
		if strings.Contains(p.Reason, reason) {
			return true
		}
	}
	return false
}

// TestSubsetsAreBounded has rules that are small one by one, and services of many ports.
func TestSubsetsAreBounded(t *testing.T) {
	for name, c := range map[string]struct {
		ports, rules, subsets, want int
		problem                     string
	}{
		"many ports":     {ports: 50, rules: 1, subsets: 100, want: 100},
		"too many ports": {ports: 51, rules: 1, subsets: 1, want: 0, problem: "51 ports are more than 50"},
		"many rules":     {ports: 1, rules: 3, subsets: 40, want: 100, problem: "older rules define 100 subsets of pay.shop.svc.cluster.local"},
	} {
		service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "pay"}}
		for i := range c.ports {
			service.Spec.Ports = append(service.Spec.Ports, corev1.ServicePort{Name: fmt.Sprintf("http-%d", i), Port: int32(80 + i)})
		}
		in := mesh.Inputs{MeshNamespace: "root", Services: mesh.Objects(service)}
		for i := range c.rules {
			dr := &networking.DestinationRule{Host: "pay"}
			for j := range c.subsets {
				dr.Subsets = append(dr.Subsets, &networking.Subset{Name: fmt.Sprintf("s%d-%d", i, j), Labels: map[string]string{"version": "v1"}})
			}
			mesh.AddConfig(&in.Config, istioconfig.Object{Kind: istioconfig.DestinationRule, Namespace: "shop", Name: fmt.Sprintf("r%d", i), Spec: dr})
		}
		s := mesh.Build(nil, in)
		rule := For(s, sidecar("web", nil)).Outbound.Services.Get("pay.shop.svc.cluster.local").Rule
		if got := len(rule.Subsets); got != c.want || c.problem != "" && !told(s, c.problem) || c.problem == "" && told(s, "more") {
			t.Errorf("%s: %d subsets, want %d and a problem of %q; problems: %v", name, got, c.want, c.problem, analyze.Check(s))
		}
	}
}

// TestRoutesPerGatewaysAreBounded binds a VirtualService for all hosts, with 10 KiB of rules, to Gateways that have them on one
// server, on many, or on many Gateways.
func TestRoutesPerGatewaysAreBounded(t *testing.T) {
	routes := &networking.VirtualService{Hosts: []string{"*"}}
	for range 20 {
		routes.Http = append(routes.Http, &networking.HTTPRoute{Route: []*networking.HTTPRouteDestination{{Destination: &networking.Destination{Host: "pay"}}}})
	}
	for i := range 10 {
		routes.Gateways = append(routes.Gateways, fmt.Sprintf("root/gate%d", i))
	}
	for _, c := range []struct{ gateways, servers, hosts, want int }{
		{1, 1, 100, 100}, {1, 1, 1000, 0}, {1, 100, 1, 100}, {1, 100, 10, 0}, {10, 10, 1, 100}, {10, 10, 10, 0},
	} {
		var s *mesh.Snapshot
		var v *Views
		in := mesh.Inputs{MeshNamespace: "root"}
		mesh.AddConfig(&in.Config, istioconfig.Object{Kind: istioconfig.VirtualService, Namespace: "shop", Name: "v", Spec: routes})
		for i := range c.gateways { // one after the other, so that the last one is too much for what the first ones have
			g := &networking.Gateway{Selector: map[string]string{"app": "gate"}}
			for j := range c.servers {
				server := &networking.Server{Port: &networking.Port{Number: 80, Name: fmt.Sprintf("http-%d", j), Protocol: "HTTP"}}
				for k := range c.hosts {
					server.Hosts = append(server.Hosts, fmt.Sprintf("h%d-%d-%d.example.com", i, j, k))
				}
				g.Servers = append(g.Servers, server)
			}
			if i > 0 {
				g.Selector["app"] = "another"
			}
			mesh.AddConfig(&in.Config, istioconfig.Object{Kind: istioconfig.Gateway, Namespace: "root", Name: fmt.Sprintf("gate%d", i), Spec: g})
			s = mesh.Build(s, in)
			v = NewViews(v, s)
			v.Scope(ClassOf(gate("gate")))
		}
		got := routesOf(v, "gate") + routesOf(v, "another")
		if refused := told(s, fmt.Sprintf("for each of %d hosts of all servers are more than", c.gateways*c.servers*c.hosts)); got != c.want || refused != (c.want == 0) {
			t.Errorf("%+v: routes for %d hosts; problems: %v", c, got, analyze.Check(s))
		}
	}
}

func gate(app string) mesh.Proxy {
	return mesh.Proxy{Type: mesh.Router, Namespace: "root", Labels: map[string]string{"app": app}}
}

func routesOf(v *Views, app string) (hosts int) {
	for _, port := range v.Scope(ClassOf(gate(app))).Gateway.Ports {
		for _, server := range port.Servers {
			for r := range server.Routes.Values() {
				hosts += len(r.Hosts)
			}
		}
	}
	return hosts
}

// TestRoutesPerPortsAreBounded has a VirtualService for a service of many ports, and for a host that is none.
func TestRoutesPerPortsAreBounded(t *testing.T) {
	for name, c := range map[string]struct {
		host                       string
		ports, matches, toEach     int
		routes, foreign, asTCP, no bool
		problem                    string
	}{
		"ordinary":                   {host: "pay", ports: 20, matches: 200, toEach: 2, routes: true},
		"routes by ports":            {host: "pay", ports: 50, matches: 1000, toEach: 100, problem: "of 1 hosts, on 50 HTTP ports of Service/shop/pay, are more than 8388608 in all"},
		"many services":              {host: "*.shop.svc.cluster.local", ports: 20, matches: 4, toEach: 1, routes: true, foreign: true},
		"many services by ports":     {host: "*.shop.svc.cluster.local", ports: 50, matches: 10, toEach: 1, foreign: true, problem: "of 100 hosts, on 50 HTTP ports of Service/shop/pay, are more than"},
		"a host that is nobody's":    {host: "api.example.com", ports: 50, matches: 200, toEach: 2, foreign: true},
		"such a host by ports":       {host: "api.example.com", ports: 50, matches: 1000, toEach: 100, problem: "of 1 hosts, on 50 HTTP ports of destinations and of namespace shop, as hosts that may not be Services, are more than"},
		"too many ports for HTTP":    {host: "pay", ports: 101, matches: 1, toEach: 1, asTCP: true, routes: true, problem: "101 HTTP ports are more than 100"},
		"more ports than are called": {host: "pay", ports: 1001, matches: 1, toEach: 1, no: true, routes: true, problem: "1001 ports are more than 1000"},
	} {
		service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "pay"}}
		for i := range c.ports {
			service.Spec.Ports = append(service.Spec.Ports, corev1.ServicePort{Name: fmt.Sprintf("http-%d", i), Port: int32(80 + i)})
		}
		route := &networking.HTTPRoute{}
		for i := range c.matches {
			route.Match = append(route.Match, &networking.HTTPMatchRequest{Uri: &networking.StringMatch{MatchType: &networking.StringMatch_Exact{Exact: fmt.Sprint("/", i)}}})
		}
		for range c.toEach {
			route.Route = append(route.Route, &networking.HTTPRouteDestination{Destination: &networking.Destination{Host: "pay", Port: &networking.PortSelector{Number: 80}}, Weight: 1})
		}
		in := mesh.Inputs{MeshNamespace: "root", Services: mesh.Objects(service)}
		mesh.AddConfig(&in.Config, istioconfig.Object{Kind: istioconfig.VirtualService, Namespace: "shop", Name: "v", Spec: &networking.VirtualService{
			Hosts: []string{c.host}, Http: []*networking.HTTPRoute{route},
		}})
		s := mesh.Build(nil, in)
		out := For(s, sidecar("shop", nil)).Outbound
		pay := out.Services.Get("pay.shop.svc.cluster.local")
		if (pay.Routes != nil) != c.routes || out.Foreign.Empty() == c.foreign {
			t.Errorf("%s: routes %v, foreign %d, want %v and %v", name, pay.Routes != nil, out.Foreign.Len(), c.routes, c.foreign)
		}
		if c.no != (len(pay.Ports) == 0) || c.asTCP != (len(pay.Ports) > 0 && pay.Ports[0].Protocol == mesh.TCP) {
			t.Errorf("%s: the service has ports %v", name, pay.Ports)
		}
		if c.problem == "" && told(s, "more than") || !told(s, c.problem) && c.problem != "" {
			t.Errorf("%s: want a problem of %q; problems: %v", name, c.problem, analyze.Check(s))
		}
	}
}

// TestRouteBoundFollowsPorts gives a service more ports than its rules can be on, and fewer again, and gives more ports to the
// namespace of the rules. Ports of another namespace do not matter.
func TestRouteBoundFollowsPorts(t *testing.T) {
	service := func(name string, first, ports int) *corev1.Service {
		return serviceOfPorts("shop", name, first, ports)
	}
	routes := &networking.VirtualService{Hosts: []string{"pay", "api.example.com"}}
	for range 200 {
		routes.Http = append(routes.Http, &networking.HTTPRoute{
			Match: []*networking.HTTPMatchRequest{{Method: &networking.StringMatch{MatchType: &networking.StringMatch_Exact{Exact: strings.Repeat("x", 700)}}}},
			Route: []*networking.HTTPRouteDestination{{Destination: &networking.Destination{Host: "pay", Port: &networking.PortSelector{Number: 80}}}},
		})
	}
	in := mesh.Inputs{MeshNamespace: "root", Services: mesh.Objects(service("pay", 80, 10), service("other", 80, 1))}
	mesh.AddConfig(&in.Config, istioconfig.Object{Kind: istioconfig.VirtualService, Namespace: "shop", Name: "v", Spec: routes})
	var s *mesh.Snapshot
	var v *Views
	for _, c := range []struct {
		service         *corev1.Service
		routed, foreign bool
	}{
		{service("pay", 80, 10), true, true}, {service("pay", 80, 50), false, true}, {service("other", 1000, 100), false, false},
		{service("pay", 80, 50), false, false}, {service("other", 80, 1), false, true}, {service("pay", 80, 10), true, true},
		{serviceOfPorts("else", "many", 1000, 100), true, true}, {serviceOfPorts("else", "more", 2000, 100), true, true},
	} {
		mesh.Add(&in.Services, c.service)
		s = mesh.Build(s, in)
		v = NewViews(v, s)
		out := v.Scope(ClassOf(sidecar("shop", nil))).Outbound
		routed, foreign := out.Services.Get("pay.shop.svc.cluster.local").Routes != nil, !out.Foreign.Empty()
		if routed != c.routed || foreign != c.foreign || told(s, "of Service/shop/pay, are more") == c.routed || told(s, "of namespace shop") == c.foreign {
			t.Errorf("with %d ports of %s: routed %v, elsewhere %v, want %v and %v; problems: %v", len(c.service.Spec.Ports), c.service.Name, routed, foreign, c.routed, c.foreign, analyze.Check(s))
		}
	}
}

func serviceOfPorts(namespace, name string, first, ports int) *corev1.Service {
	k := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	for i := range ports {
		k.Spec.Ports = append(k.Spec.Ports, corev1.ServicePort{Name: fmt.Sprintf("http-%d", i), Port: int32(first + i)})
	}
	return k
}

// TestUnregisteredHostPorts lists the ports on which rules hold for a host that is not a Service, before and after the Services
// of their namespace change.
func TestUnregisteredHostPorts(t *testing.T) {
	to := func(host string, port uint32) *networking.HTTPRouteDestination {
		d := &networking.Destination{Host: host}
		if port != 0 {
			d.Port = &networking.PortSelector{Number: port}
		}
		return &networking.HTTPRouteDestination{Destination: d, Weight: 1}
	}
	in := mesh.Inputs{MeshNamespace: "root", Services: mesh.Objects(
		serviceOfPorts("shop", "pay", 8080, 2), serviceOfPorts("else", "one", 9000, 1), serviceOfPorts("else", "two", 9100, 2),
	)}
	mesh.AddConfig(&in.Config, istioconfig.Object{Kind: istioconfig.VirtualService, Namespace: "shop", Name: "v", Spec: &networking.VirtualService{
		Hosts: []string{"api.example.com"},
		Http: []*networking.HTTPRoute{{
			Route:  []*networking.HTTPRouteDestination{to("pay", 7000), to("one.else.svc.cluster.local", 0), to("two.else.svc.cluster.local", 0)},
			Mirror: to("pay", 7001).Destination,
		}},
	}})
	s := mesh.Build(nil, in)
	views := NewViews(nil, s)
	check := func(when string, want ...uint32) {
		t.Helper()
		var got []uint32
		for f := range views.Scope(ClassOf(sidecar("shop", nil))).Outbound.Foreign.Values() {
			for n := range uint32(10000) {
				if f.On.Has(n) {
					got = append(got, n)
				}
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s the rules hold on ports %v, want %v", when, got, want)
		}
	}
	check("at first", 80, 7000, 7001, 8080, 8081, 9000)
	mesh.Add(&in.Services, serviceOfPorts("shop", "pay", 8080, 1), serviceOfPorts("else", "one", 9001, 1), serviceOfPorts("else", "new", 9900, 1))
	views = NewViews(views, mesh.Build(s, in))
	check("after the Services changed", 80, 7000, 7001, 8080, 9001)
}

// TestGatewayRoutesDoNotTouchServices edits a rule for all hosts of gateways: no service has to be looked at for it.
func TestGatewayRoutesDoNotTouchServices(t *testing.T) {
	for gateway, want := range map[string]int{"root/gate": 0, "mesh": 1} {
		in := mesh.Inputs{MeshNamespace: "root", Services: smallServices()}
		s := mesh.Build(nil, in)
		views := NewViews(nil, s)
		views.changesOf()
		v := rule("shop", "pay", nil)
		v.Spec.(*networking.VirtualService).Hosts = []string{"*.shop.svc.cluster.local"}
		v.Spec.(*networking.VirtualService).Gateways = []string{gateway}
		mesh.AddConfig(&in.Config, v)
		if hosts := NewViews(views, mesh.Build(s, in)).changesOf().hosts; len(hosts) != want {
			t.Errorf("a rule for gateway %s concerns services %v, want %d", gateway, hosts, want)
		}
	}
}
