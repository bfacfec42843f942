package desired

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/internal/golden"
)

// TestProfiles shows the spec that the operator builds from, of each profile alone and beside settings that win over it.
func TestProfiles(t *testing.T) {
	golden.Run(t, "testdata/profiles/*.txtar", func(t *testing.T, c golden.Case) map[string]string {
		spec := &v1alpha1.InstallationSpec{}
		if err := yaml.UnmarshalStrict(c.Files["spec.yaml"], spec); err != nil {
			t.Fatal(err)
		}
		before := spec.DeepCopy()
		text, err := yaml.Marshal(withProfile(spec))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, spec); diff != "" {
			t.Errorf("the Installation itself has changed:\n%s", diff)
		}
		if problem := Invalid(withProfile(spec), Components()); problem != "" {
			t.Errorf("the profile makes the Installation invalid: %s", problem)
		}
		return map[string]string{"want.yaml": string(text)}
	})
}

// TestProfileComponents lists what is installed.
func TestProfileComponents(t *testing.T) {
	for profile, want := range map[string]string{
		"Historic":   "citadel elasticsearch galley grafana istio-egressgateway istio-ingressgateway jaeger jaegerAgent jaegerQuery pilot prometheus sidecarInjector telemetry",
		"Minimal":    "citadel galley pilot sidecarInjector",
		"Production": "citadel elasticsearch galley grafana istio-egressgateway istio-ingressgateway jaeger jaegerAgent jaegerQuery pilot prometheus sidecarInjector telemetry",
	} {
		plan, err := Build(Input{Spec: &v1alpha1.InstallationSpec{Profile: profile}, Images: BuiltInImages(func(string) string { return "" }), Catalog: Components()})
		if err != nil {
			t.Fatal(err)
		}
		names := map[string]bool{}
		for _, c := range plan.Components {
			names[c.Name] = c.Enabled
		}
		for _, name := range strings.Fields(want) {
			if !names[name] {
				t.Errorf("%s does not install %s", profile, name)
			}
			delete(names, name)
		}
		for name, enabled := range names {
			if enabled && profile == profileMinimal {
				t.Errorf("%s installs %s", profile, name)
			}
		}
	}
}
