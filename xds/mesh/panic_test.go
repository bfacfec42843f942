package mesh

import (
	"strings"
	"testing"
	"time"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
)

// oddRoute is a VirtualService that no API server sends and whose translation panics.
func oddRoute() istioconfig.Object {
	odd := &networking.HTTPMatchRequest{Uri: &networking.StringMatch{MatchType: (*networking.StringMatch_Regex)(nil)}}
	o := routeTo("a", "x", 1)
	o.Generation = 2
	o.Spec.(*networking.VirtualService).Http[0].Match = []*networking.HTTPMatchRequest{odd}
	return o
}

func routeTo(namespace, host string, age int64) istioconfig.Object {
	return istioconfig.Object{
		Kind: istioconfig.VirtualService, Namespace: namespace, Name: host, Created: time.Unix(age, 0), Generation: age,
		Spec: &networking.VirtualService{Hosts: []string{host}, Http: []*networking.HTTPRoute{{
			Route: []*networking.HTTPRouteDestination{{Destination: &networking.Destination{Host: host}}},
		}}},
	}
}

// TestPanicCostsOneObject builds a mesh in which one object makes Build panic: it keeps the effect it had, or has none,
// and is named with the place of the panic; all others have theirs.
func TestPanicCostsOneObject(t *testing.T) {
	good, bystander := routeTo("a", "x", 1), routeTo("b", "y", 1)
	var in Inputs
	AddConfig(&in.Config, oddRoute(), bystander)
	fresh := Build(nil, in)
	if n := fresh.VirtualServices.Len(); n != 1 {
		t.Errorf("beside an odd one there are %d VirtualServices, want the other one", n)
	}
	in = Inputs{}
	AddConfig(&in.Config, good)
	before := Build(nil, in)
	AddConfig(&in.Config, oddRoute(), bystander)
	after := Build(before, in)
	if n := after.VirtualServices.Len(); n != 2 {
		t.Errorf("after an odd change there are %d VirtualServices, want the last good version and the other one", n)
	}
	for name, s := range map[string]*Snapshot{"at first": fresh, "later": after} {
		var panics []Problem
		for _, p := range s.Problems {
			if p.Stack != "" {
				panics = append(panics, p)
			}
		}
		if len(panics) != 1 || panics[0].Object != "VirtualService/a/x" || !strings.Contains(panics[0].Stack, "istioconfig.(*checker).stringMatch check.go:") {
			t.Errorf("%s the panics are %+v, want that of the odd VirtualService", name, panics)
		}
	}
	AddConfig(&in.Config, good)
	for _, p := range Build(after, in).Problems {
		if p.Stack != "" {
			t.Errorf("after the object was mended there is still %+v", p)
		}
	}
}
