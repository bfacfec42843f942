package scope

import (
	"fmt"
	"strings"
	"testing"

	networking "istio.io/api/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

func told(s *mesh.Snapshot, reason string) bool {
	for _, p := range s.Problems {
		if strings.Contains(p.Reason, reason) {
			return true
		}
	}
	return false
}

// TestSubsetsDoNotMultiply has rules that are small one by one, and services of many ports.
func TestSubsetsDoNotMultiply(t *testing.T) {
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
			t.Errorf("%s: %d subsets, want %d and a problem of %q; problems: %v", name, got, c.want, c.problem, s.Problems)
		}
	}
}

// TestAGatewayDoesNotMultiplyRoutes binds a VirtualService for all hosts, with 10 KiB of rules, to a Gateway.
func TestAGatewayDoesNotMultiplyRoutes(t *testing.T) {
	for hosts, want := range map[int]int{100: 100, 1000: 0} {
		servers := []*networking.Server{{Port: &networking.Port{Number: 80, Name: "http", Protocol: "HTTP"}}}
		for i := range hosts {
			servers[0].Hosts = append(servers[0].Hosts, fmt.Sprintf("h%d.example.com", i))
		}
		routes := &networking.VirtualService{Hosts: []string{"*"}, Gateways: []string{"root/gate"}}
		for range 20 {
			routes.Http = append(routes.Http, &networking.HTTPRoute{Route: []*networking.HTTPRouteDestination{{Destination: &networking.Destination{Host: "pay"}}}})
		}
		s := snapshot(
			istioconfig.Object{Kind: istioconfig.Gateway, Namespace: "root", Name: "gate", Spec: &networking.Gateway{Selector: map[string]string{"app": "gate"}, Servers: servers}},
			istioconfig.Object{Kind: istioconfig.VirtualService, Namespace: "shop", Name: "v", Spec: routes},
		)
		got := 0
		for r := range For(s, mesh.Proxy{Type: mesh.Router, Namespace: "root", Labels: map[string]string{"app": "gate"}}).Gateway.Ports[0].Servers[0].Routes.Values() {
			got += len(r.Hosts)
		}
		if refused := told(s, fmt.Sprintf("for each of %d hosts of Gateway/root/gate are more than", hosts)); got != want || refused != (want == 0) {
			t.Errorf("a Gateway of %d hosts has routes for %d, want %d; problems: %v", hosts, got, want, s.Problems)
		}
	}
}
