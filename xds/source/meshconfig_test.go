package source

import (
	"log/slog"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

func TestInvalidMeshConfigKeepsLastValid(t *testing.T) {
	r := newMeshConfigReader(slog.New(slog.DiscardHandler))
	read := func(text string) string {
		r.set(&corev1.ConfigMap{Data: map[string]string{"mesh": text}})
		return r.last.GetTrustDomain()
	}
	for _, step := range []struct{ text, want string }{
		{"trustDomain: one.example", "one.example"},
		{"trustDomain: [", "one.example"},
		{"trustDomain: 7", "one.example"},
		{"trustDomain: two.example\nfieldOfTheFuture: 1", "two.example"},
		{"", ""},
	} {
		if got := read(step.text); got != step.want {
			t.Errorf("after %q the trust domain is %q, want %q", step.text, got, step.want)
		}
	}
	read("trustDomain: three.example")
	r.remove(nil)
	if got := r.last.GetTrustDomain(); got != "three.example" {
		t.Errorf("after the ConfigMap was deleted the trust domain is %q, want the last good one", got)
	}
}

// TestUnknownMTLSModeKeepsLastValid: what nobody says is strict, and what somebody says wrongly changes nothing.
func TestUnknownMTLSModeKeepsLastValid(t *testing.T) {
	r := newMeshConfigReader(slog.New(slog.DiscardHandler))
	for _, step := range []struct {
		data map[string]string
		want mesh.MTLSMode
	}{
		{nil, mesh.Strict},
		{map[string]string{"mtlsMode": "permissive"}, mesh.Strict},
		{map[string]string{"mtlsMode": "PERMISSIVE"}, mesh.Permissive},
		{map[string]string{"mtlsMode": "STRICT", "mesh": "trustDomain: ["}, mesh.Strict},
		{map[string]string{"mtlsMode": "SOMETIMES"}, mesh.Strict},
		{map[string]string{"mesh": "trustDomain: one.example"}, mesh.Strict},
		{map[string]string{"mtlsMode": "DISABLE"}, mesh.Disable},
	} {
		r.set(&corev1.ConfigMap{Data: step.data})
		in := mesh.Inputs{}
		r.fill(&in)
		if got := mesh.Build(nil, in).Settings.MTLS; got != step.want {
			t.Errorf("after %v the mode is %s, want %s", step.data, got, step.want)
		}
	}
}

func FuzzParseMeshConfig(f *testing.F) {
	f.Add("trustDomain: cluster.local\noutboundTrafficPolicy:\n  mode: REGISTRY_ONLY\n")
	f.Add("null")
	f.Fuzz(func(t *testing.T, text string) {
		config, err := parseMeshConfig(text)
		if (config == nil) != (err != nil) {
			t.Errorf("parseMeshConfig(%q) = %v, %v", text, config, err)
		}
	})
}
