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
	web, router := sidecar("web", nil), gate("gate")
	before := For(s, web)
	For(s, router)

	came := rule("shop", "pay", nil)
	came.Spec.(*networking.VirtualService).Gateways = []string{"mesh", "root/gate"}
	mesh.AddConfig(&in.Config, came)
	s = mesh.Build(s, in)
	changesOf(s)
	for _, key := range []string{"outbound\x00" + before.Outbound.ShareKey, gatewayKey(ClassOf(router))} {
		if mesh.Guarded(mesh.Pilot, func() { s.Once(key, func(any) any { panic("odd") }) }) == nil {
			t.Fatal("the view was there already")
		}
	}
	elsewhere := rule("else", "pay", nil)
	elsewhere.Spec.(*networking.VirtualService).Hosts = []string{"elsewhere.example.com"}
	mesh.AddConfig(&in.Config, elsewhere)
	s = mesh.Build(s, in)
	if For(s, web).Outbound.Services.Get("pay.shop.svc.cluster.local").Routes == nil {
		t.Error("a sidecar has missed a rule for ever")
	}
	if routesAt(s, "gate") == 0 {
		t.Error("a gateway has missed a rule for ever")
	}
}
