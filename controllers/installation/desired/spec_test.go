package desired

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
)

func specOf(t *testing.T, text string) *v1alpha1.InstallationSpec {
	t.Helper()
	spec := &v1alpha1.InstallationSpec{}
	if err := yaml.UnmarshalStrict([]byte(text), spec); err != nil {
		t.Fatal(err)
	}
	return spec
}

// TestUnsupportedFields answers specs as people write them: what is not done is named, and the mesh is not Ready only where
// the absence leaves something open.
func TestUnsupportedFields(t *testing.T) {
	for name, c := range map[string]struct {
		spec  string
		parts string // in status.components
		ready string // condition Ready: status and reason
	}{
		"nothing":                        {``, "", "True Ready"},
		"threeScale on":                  {`threeScale: {enabled: true}`, "threeScale", "False Unsupported"},
		"threeScale off":                 {`threeScale: {enabled: false, version: 0.2.0}`, "", "True Ready"},
		"threeScale without enabled":     {`threeScale: {prefix: registry.example.com/}`, "", "True Ready"},
		"jaeger":                         {`jaeger: {version: 1.9.0}`, "", "True Ready"},
		"jaeger without a field":         {`jaeger: {}`, "", "True Ready"},
		"jaeger of somebody else":        {`jaeger: {external: {otlpURL: "http://a:4317"}}`, "", "True Ready"},
		"launcher":                       {`launcher: {openshift: {user: u, password: p}}`, "launcher", "True Ready"},
		"launcher without a field":       {`launcher: {}`, "launcher", "True Ready"},
		"kiali by its credentials":       {`kiali: {username: u, password: p}`, "kiali", "True Ready"},
		"kiali without a password":       {`kiali: {username: u}`, "", "True Ready"},
		"kiali without a user":           {`kiali: {password: p}`, "", "True Ready"},
		"kiali without a field":          {`kiali: {}`, "", "True Ready"},
		"everything":                     {`{jaeger: {}, kiali: {username: u, password: p}, launcher: {}, threeScale: {enabled: true}}`, "kiali launcher threeScale", "False Unsupported"},
		"everything but what protects":   {`{jaeger: {}, kiali: {username: u, password: p}, launcher: {}}`, "kiali launcher", "True Ready"},
		"the historic word of platforms": {`deployment_type: openshift`, "", "True Ready"},
	} {
		var parts []string
		blocks := "True Ready"
		for _, part := range UnsupportedParts(specOf(t, c.spec)) {
			parts = append(parts, part.Component)
			if part.BlocksReady {
				blocks = "False Unsupported"
			}
		}
		if got := strings.Join(parts, " "); got != c.parts || blocks != c.ready {
			t.Errorf("%s: unsupported %q with Ready %s, want %q with %s", name, got, blocks, c.parts, c.ready)
		}
	}
}

// TestSpecWarnings: numbers that YAML has changed, drains that are none, and
// secrets in the clear, which are never repeated.
func TestSpecWarnings(t *testing.T) {
	for name, c := range map[string]struct {
		spec string
		want []string // field, reason and, for a number, what it was read as
	}{
		"quoted":           {`{istio: {version: "1.10"}, jaeger: {version: "1.1"}}`, nil},
		"three parts":      {`{istio: {version: 0.7.0}, kiali: {version: 0.13.0}}`, nil}, // no number in YAML
		"unquoted":         {`istio: {version: 1.10}`, []string{"spec.istio.version UnquotedNumber 1.1"}},
		"of every part":    {`{istio: {version: 1.2}, jaeger: {version: 1.3}, kiali: {version: 1.4}, threeScale: {version: 2}}`, []string{"spec.istio.version UnquotedNumber 1.2", "spec.jaeger.version UnquotedNumber 1.3", "spec.kiali.version UnquotedNumber 1.4", "spec.threeScale.version UnquotedNumber 2"}},
		"a password":       {`kiali: {username: u, password: hunter2}`, []string{"spec.kiali.password PlaintextSecret"}},
		"without a user":   {`kiali: {password: hunter2}`, []string{"spec.kiali.password PlaintextSecret", "spec.kiali Incomplete"}},
		"only a user":      {`kiali: {username: u}`, []string{"spec.kiali Incomplete"}},
		"of the launcher":  {`launcher: {openshift: {user: u, password: hunter2}, github: {token: hunter2}}`, []string{"spec.launcher.openshift.password PlaintextSecret", "spec.launcher.github.token PlaintextSecret"}},
		"a drain":          {`gateways: [{name: a, env: [{name: TERMINATION_DRAIN_DURATION, value: 1m30s}]}, {name: b, env: [{name: OTHER, value: soon}]}]`, nil},
		"no drain":         {`gateways: [{name: a, env: [{name: TERMINATION_DRAIN_DURATION, value: soon}]}]`, []string{"spec.gateways NoDuration"}},
		"a long drain":     {`gateways: [{name: a, env: [{name: TERMINATION_DRAIN_DURATION, value: 61m}]}]`, []string{"spec.gateways NoDuration"}},
		"a negative drain": {`gateways: [{name: a, env: [{name: TERMINATION_DRAIN_DURATION, value: -1s}]}]`, []string{"spec.gateways NoDuration"}},
		"an empty section": {`{launcher: {openshift: {}, github: {}}, kiali: {}, istio: {}}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, w := range Warnings(specOf(t, c.spec)) {
				line := w.Field + " " + w.Reason
				if w.Reason == "UnquotedNumber" {
					line += " " + strings.Fields(w.Message)[0]
				}
				if strings.Contains(w.Message, "hunter2") {
					t.Errorf("the warning repeats the secret: %s", w.Message)
				}
				got = append(got, line)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

// TestMTLSModeInPolicyAndMeshConfig: what the Installation asks for is in the PeerAuthentication that people look at and, for the time
// without it, in pilot's configuration.
func TestMTLSModeInPolicyAndMeshConfig(t *testing.T) {
	for spec, want := range map[string]string{
		``:                                  "PERMISSIVE",
		`istio: {authentication: true}`:     "STRICT",
		`istio: {authentication: false}`:    "PERMISSIVE",
		`security: {mtls: {mode: STRICT}}`:  "STRICT",
		`security: {mtls: {mode: DISABLE}}`: "DISABLE",
	} {
		var said []string
		for _, object := range build(t, []byte(spec), true).Objects() {
			switch object.GetKind() {
			case "PeerAuthentication":
				mode, _, _ := unstructured.NestedString(object.Object, "spec", "mtls", "mode")
				said = append(said, fmt.Sprintf("%s/%s %s", object.GetNamespace(), object.GetName(), mode))
			case "ConfigMap":
				if mode, ok, _ := unstructured.NestedString(object.Object, "data", "mtlsMode"); ok {
					said = append(said, fmt.Sprintf("%s/%s %s", object.GetNamespace(), object.GetName(), mode))
				}
			}
		}
		slices.Sort(said)
		if diff := cmp.Diff([]string{"istio-system/default " + want, "istio-system/istio " + want}, said); diff != "" {
			t.Errorf("%s (-want +got):\n%s", spec, diff)
		}
	}
}

// TestOverriddenValuesAreWarnedAbout: labels, variables and fields of a Service that have no effect are named, others are not.
func TestOverriddenValuesAreWarnedAbout(t *testing.T) {
	for spec, want := range map[string]string{
		`components: {pilot: {podLabels: {app: mine, team: a}}}`:                                                           "spec.components.pilot.podLabels label app is set by the component itself, whose value wins; remove it",
		`components: {galley: {podLabels: {istio.openshift.com/component: mine}}}`:                                         "spec.components.galley.podLabels label istio.openshift.com/component is set by the component itself, whose value wins; remove it",
		`gateways: [{name: g, labels: {istio.io/rev: a, tier: edge}}]`:                                                     "spec.gateways[g].labels label istio.io/rev is set by the component itself, whose value wins; remove it",
		`gateways: [{name: g, labels: {tier: edge}, podLabels: {tier: other, team: a}}]`:                                   "spec.gateways[g].podLabels label tier is set by the component itself, whose value wins; remove it",
		`components: {citadel: {env: [{name: POD_NAME, value: a}, {name: OTHER, value: b}]}}`:                              "spec.components.citadel.env variable POD_NAME is set by the component itself, whose value wins; remove it",
		`components: {citadel: {env: [{name: TERMINATION_DRAIN_DURATION, value: 5s}]}}`:                                    "spec.components.citadel.env variable TERMINATION_DRAIN_DURATION is set by the component itself, whose value wins; remove it",
		`gateways: [{name: g, env: [{name: TERMINATION_DRAIN_DURATION, value: 5s}]}]`:                                      "",
		`gateways: [{name: g, env: [{name: PILOT_ADDRESS, value: a}]}]`:                                                    "spec.gateways[g].env variable PILOT_ADDRESS is set by the component itself, whose value wins; remove it",
		`gateways: [{name: g, service: {type: ClusterIP, externalTrafficPolicy: Local}}]`:                                  "spec.gateways[g].service.externalTrafficPolicy Local has no effect on a Service of type ClusterIP; remove it, or set service.type to NodePort or LoadBalancer",
		`gateways: [{name: g, type: Egress, service: {ports: [{name: tcp-a, port: 9, nodePort: 30009}]}}]`:                 "spec.gateways[g].service.ports nodePort 30009 of tcp-a has no effect on a Service of type ClusterIP; remove it, or set service.type to NodePort or LoadBalancer",
		`gateways: [{name: g, service: {externalTrafficPolicy: Local, ports: [{name: tcp-a, port: 9, nodePort: 30009}]}}]`: "",
	} {
		var got []string
		for _, w := range Warnings(specOf(t, spec)) {
			if w.Reason != "NoEffect" {
				t.Errorf("%s: reason %s", spec, w.Reason)
			}
			got = append(got, w.Field+" "+w.Message)
		}
		if diff := cmp.Diff(want, strings.Join(got, "; ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", spec, diff)
		}
	}
}

// TestOwnVariablesAreComplete: a container never has a variable twice, whichever of its names the user gives.
func TestOwnVariablesAreComplete(t *testing.T) {
	plain := build(t, nil, true)
	names := map[string]bool{}
	for _, object := range plain.Objects() {
		for _, name := range variableNames(t, object) {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		env := fmt.Sprintf("{env: [{name: %s, value: mine}]}", name)
		spec := fmt.Sprintf("{components: {pilot: %[1]s, citadel: %[1]s, galley: %[1]s, sidecarInjector: %[1]s, telemetry: %[1]s}, gateways: [{name: g, env: [{name: %[2]s, value: mine}]}]}", env, name)
		for _, object := range build(t, []byte(spec), true).Objects() {
			own := variableNames(t, object)
			if slices.Sort(own); len(slices.Compact(slices.Clone(own))) != len(own) {
				t.Errorf("%s %s has %s twice", object.GetKind(), object.GetName(), name)
			}
		}
	}
}

func variableNames(t *testing.T, object *unstructured.Unstructured) []string {
	t.Helper()
	containers, _, err := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "containers")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range containers {
		env, _, err := unstructured.NestedSlice(c.(map[string]any), "env")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range env {
			names = append(names, e.(map[string]any)["name"].(string))
		}
	}
	return names
}

// TestOwnAnnotationsWin: an annotation that the component sets itself is in its pod once.
func TestOwnAnnotationsWin(t *testing.T) {
	spec := `{components: {pilot: {podAnnotations: {sidecar.istio.io/inject: "true"}}}, gateways: [{name: g, podAnnotations: {prometheus.io/port: "1"}}]}`
	for _, object := range build(t, []byte(spec), true).Objects() {
		annotations, _, _ := unstructured.NestedStringMap(object.Object, "spec", "template", "metadata", "annotations")
		if annotations["sidecar.istio.io/inject"] == "true" || annotations["prometheus.io/port"] == "1" {
			t.Errorf("%s %s: the user's annotation wins: %v", object.GetKind(), object.GetName(), annotations)
		}
	}
}
