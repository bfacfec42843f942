package scope

import (
	"testing"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// TestViewIsRebuiltAfterMissedGeneration has views of which one fails in a snapshot in which a rule came: in the next one they
// have that rule too.
func TestViewIsRebuiltAfterMissedGeneration(t *testing.T) {
	in := mesh.Inputs{MeshNamespace: "root", Services: smallServices()}
	mesh.AddConfig(&in.Config, istioconfig.Object{Kind: istioconfig.Gateway, Namespace: "root", Name: "gate", Spec: &networking.Gateway{
		Selector: map[string]string{"app": "gate"},
		Servers:  []*networking.Server{{Port: &networking.Port{Number: 80, Name: "http", Protocol: "HTTP"}, Hosts: []string{"*"}}},
	}})
	s := mesh.Build(nil, in)
	v := NewViews(nil, s)
	web, router := ClassOf(sidecar("web", nil)), ClassOf(gate("gate"))
	before := v.Scope(web)
	v.Scope(router)

	came := rule("shop", "pay", nil)
	came.Spec.(*networking.VirtualService).Gateways = []string{"mesh", "root/gate"}
	mesh.AddConfig(&in.Config, came)
	s = mesh.Build(s, in)
	v = NewViews(v, s)
	v.changesOf()
	outbound := mesh.Catch(func() { v.outbound.Get(before.Outbound.ShareKey, func(*outboundView) outboundView { panic("odd") }) })
	gateway := mesh.Catch(func() { v.gateways.Get(gatewayKey(router), func(*gatewayView) gatewayView { panic("odd") }) })
	if outbound == nil || gateway == nil {
		t.Fatal("the view was there already")
	}
	elsewhere := rule("else", "pay", nil)
	elsewhere.Spec.(*networking.VirtualService).Hosts = []string{"elsewhere.example.com"}
	mesh.AddConfig(&in.Config, elsewhere)
	v = NewViews(v, mesh.Build(s, in))
	if v.Scope(web).Outbound.Services.Get("pay.shop.svc.cluster.local").Routes == nil {
		t.Error("a sidecar has missed a rule for ever")
	}
	if routesOf(v, "gate") == 0 {
		t.Error("a gateway has missed a rule for ever")
	}
}
