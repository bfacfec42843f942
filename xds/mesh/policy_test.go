package mesh

import (
	"testing"

	security "istio.io/api/security/v1beta1"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

// TestMeshModeWithoutPeerAuthentication takes every PeerAuthentication away, as the deletion of their definition does: the mesh's
// settings apply, and no port accepts plaintext that they do not open.
func TestMeshModeWithoutPeerAuthentication(t *testing.T) {
	const strict, permissive = security.PeerAuthentication_MutualTLS_STRICT, security.PeerAuthentication_MutualTLS_PERMISSIVE
	for name, c := range map[string]struct {
		mode   MTLSMode
		object security.PeerAuthentication_MutualTLS_Mode
		with   MTLSMode
		alone  MTLSMode
	}{
		"strict":                        {Strict, strict, Strict, Strict},
		"permissive":                    {Permissive, permissive, Permissive, Permissive},
		"disabled":                      {Disable, security.PeerAuthentication_MutualTLS_DISABLE, Disable, Disable},
		"unknown":                       {"", permissive, Permissive, Strict},
		"the object wins while it is":   {Strict, permissive, Permissive, Strict},
		"the object does not say which": {Strict, security.PeerAuthentication_MutualTLS_UNSET, Strict, Strict},
	} {
		t.Run(name, func(t *testing.T) {
			in := smallMesh()
			in.MTLS = c.mode
			AddConfig(&in.Config, peerAuthentication("root", "default", 1, &security.PeerAuthentication{Mtls: mode(c.object)}))
			before := Build(nil, in)
			wantAdmitted(t, before, c.with)
			in.Config = table.Table[*istioconfig.Object]{}
			wantAdmitted(t, Build(before, in), c.alone)
			wantAdmitted(t, Build(nil, in), c.alone)
		})
	}
}

// TestMeshModeChange reaches a proxy that was cachedProxy before.
func TestMeshModeChange(t *testing.T) {
	in := smallMesh()
	in.MTLS = Permissive
	before := Build(nil, in)
	wantAdmitted(t, before, Permissive)
	in.MTLS = Disable
	after := Build(before, in)
	wantAdmitted(t, after, Disable)
	if e := after.Service("a.ns.svc.cluster.local").Ports[0].Endpoints[0]; e.MTLS {
		t.Errorf("clients would still speak mutual TLS to %+v", e)
	}
}

// TestInvalidPolicyHolds has an invalid PeerAuthentication, at first and as a change of a valid one: it is reported, and its mode holds.
func TestInvalidPolicyHolds(t *testing.T) {
	in := smallMesh()
	in.MTLS = Permissive
	AddConfig(&in.Config, peerAuthentication("ns", "p", 1, &security.PeerAuthentication{Mtls: mode(security.PeerAuthentication_MutualTLS_PERMISSIVE)}))
	before := Build(nil, in)
	AddConfig(&in.Config, peerAuthentication("ns", "p", 1, &security.PeerAuthentication{
		Mtls: mode(security.PeerAuthentication_MutualTLS_STRICT), PortLevelMtls: map[uint32]*security.PeerAuthentication_MutualTLS{0: mode(security.PeerAuthentication_MutualTLS_DISABLE)},
	}))
	for name, s := range map[string]*Snapshot{"at first": Build(nil, in), "as a change": Build(before, in)} {
		if len(s.Problems) == 0 {
			t.Errorf("%s: no problem is reported", name)
		}
		wantAdmitted(t, s, Strict)
	}
}

// TestEveryEnforcedKindHasARow: an object that galley accepts has an effect.
func TestEveryEnforcedKindHasARow(t *testing.T) {
	enforced := istioconfig.EnforcedKinds()
	for _, k := range enforced {
		if kinds[k].model == nil || kinds[k].model(istioconfig.Object{Kind: k, Spec: k.NewSpec()}) == nil {
			t.Errorf("kind %s is enforced and has no model", k)
		}
	}
	if len(kinds) != len(enforced) {
		t.Errorf("there are %d rows for %d kinds", len(kinds), len(enforced))
	}
}

func wantAdmitted(t *testing.T, s *Snapshot, want MTLSMode) {
	t.Helper()
	p, ok := s.Proxy("ns", "a-1")
	if !ok || len(p.Inbound) != 1 || p.Inbound[0].Mode != want || p.DefaultMode != want {
		t.Errorf("proxy %+v, want ports that are %s", p, want)
	}
}
