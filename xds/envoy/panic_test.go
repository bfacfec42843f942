package envoy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/scope"
)

// TestPanicAffectsOnePart shows that a panic while one part is built is that part's problem and nobody else's.
func TestPanicAffectsOnePart(t *testing.T) {
	var nothing map[string]*structpb.Value
	p := buildPart([]resource.Object{"VirtualService/default/odd"}, func(*draft) { nothing["x"] = nil })
	if len(p.resources) != 0 || len(p.problems) != 1 || !strings.Contains(p.problems[0].Stack, "TestPanicAffectsOnePart") {
		t.Errorf("got %+v, want one problem that says where the panic is", p)
	}
	if p = buildPart(nil, func(*draft) { nothing["x"] = nil }); len(p.problems) != 1 {
		t.Errorf("got %+v, want a problem although nobody is to blame", p)
	}
}

// TestPanicAffectsOneService translates a service that has a port which is none, beside one that is as it should be.
func TestPanicAffectsOneService(t *testing.T) {
	view := func(name string, ports ...*mesh.Port) *scope.Service {
		s := &mesh.Service{Object: resource.Object("Service/a/" + name), Namespace: "a", Name: name, Host: mesh.HostOf("a", name), Addresses: []string{"10.96.0.1"}, Ports: ports}
		return &scope.Service{Service: s, Key: name}
	}
	good := &mesh.Port{Number: 80, Protocol: mesh.TCP}
	s := scope.Scope{Type: mesh.Sidecar, IPv4: true, Settings: &mesh.Settings{}, Telemetry: &mesh.Telemetry{}, Inbound: &scope.Inbound{}, Outbound: &scope.Outbound{Namespace: "a", Key: "1"}}
	for _, v := range []*scope.Service{view("good", good), view("odd", good, nil)} {
		s.Outbound.Services = s.Outbound.Services.With(v.Host, v)
	}
	set, problems := NewBuilder().Build(s)
	if of := set.Of(resource.Cluster); of.Get("outbound|80||good.a.svc.cluster.local") == nil || of.Get("outbound|80||odd.a.svc.cluster.local") != nil {
		t.Error("want the clusters of the service that is as it should be, and no others")
	}
	if len(problems) != 1 || problems[0].Object != "Service/a/odd" || problems[0].Stack == "" {
		t.Errorf("the problems are %+v, want that of the odd service", problems)
	}
}

// TestPanicKeepsLastGoodService changes a service to one that cannot be translated, by a panic, to another
// such, to one that can, and to none.
func TestPanicKeepsLastGoodService(t *testing.T) {
	const host = "pay.a.svc.cluster.local"
	b, shared, web := NewBuilder(), (*Shared)(nil), &mesh.Port{Number: 80, Protocol: mesh.HTTP}
	for i, c := range []struct {
		ports    []*mesh.Port
		clusters []string
		panics   int
	}{
		{[]*mesh.Port{web}, []string{"80"}, 0},
		{[]*mesh.Port{web, {Number: 81}, nil}, []string{"80"}, 1},
		{[]*mesh.Port{{Number: 82}, nil}, []string{"80"}, 1},
		{[]*mesh.Port{{Number: 90, Protocol: mesh.TCP}}, []string{"90"}, 0},
		{[]*mesh.Port{nil}, []string{"90"}, 1},
		{nil, nil, 0},
	} {
		s := scope.Scope{Type: mesh.Sidecar, IPv4: true, Settings: &mesh.Settings{}, Telemetry: &mesh.Telemetry{}, Inbound: &scope.Inbound{}, Outbound: &scope.Outbound{Namespace: "a", Key: number(uint32(i))}}
		if c.ports != nil {
			service := &mesh.Service{Object: "Service/a/pay", Namespace: "a", Name: "pay", Host: host, Addresses: []string{"10.96.0.1"}, Ports: c.ports}
			s.Outbound.Services = s.Outbound.Services.With(host, &scope.Service{Service: service, Key: number(uint32(i))})
		}
		shared = b.Share(shared, s)
		var clusters []string
		for name := range shared.set.Of(resource.Cluster).All() {
			if port, ok := strings.CutSuffix(name, "||"+host); ok {
				clusters = append(clusters, strings.TrimPrefix(port, "outbound|"))
			}
		}
		if diff := cmp.Diff(c.clusters, clusters); diff != "" || len(shared.Problems()) != c.panics {
			t.Errorf("step %d has problems %v and clusters (-want +got):\n%s", i, shared.Problems(), diff)
		}
		if routed := shared.set.Of(resource.Route).Get("80") != nil; routed != (i < 3) {
			t.Errorf("step %d: there are routes of port 80: %v", i, routed)
		}
	}
}

func TestCheckRegex(t *testing.T) {
	for pattern, ok := range map[string]bool{
		"":                                  true,
		"*":                                 true,
		`^(.*?;)?(user=jason)(;.*)?$`:       true,
		`/v[0-9]+/.*`:                       true,
		`a(b`:                               false,
		`(?=lookahead)`:                     false,
		strings.Repeat("a{1000}", 100):      false,
		strings.Repeat(`\pL`, 300):          false,
		strings.Repeat("a", 1025):           false,
		`[a-z]{1,63}(\.[a-z0-9-]{1,63}){5}`: true,
	} {
		if err := checkRegex(pattern); (err == nil) != ok {
			t.Errorf("checkRegex(%.40q) = %v, want ok %v", pattern, err, ok)
		}
	}
}
