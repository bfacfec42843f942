package injector

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	psaapi "k8s.io/pod-security-admission/api"
	psapolicy "k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"

	"github.com/mesh-operator/mesh-operator/internal/golden"
	"github.com/mesh-operator/mesh-operator/internal/injecttemplate"
)

const testValues = `{"proxyImage": "quay.io/mesh-operator/proxyv2:0.1.0", "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
	"initResources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "500m", "memory": "128Mi"}}}`

func testSettings(t testing.TB) *Settings {
	t.Helper()
	return settingsWith(t, nil)
}

// settingsWith returns the settings of testValues with more.
func settingsWith(t testing.TB, more []byte) *Settings {
	t.Helper()
	values := map[string]any{}
	for _, text := range [][]byte{[]byte(testValues), more} {
		if err := yaml.Unmarshal(text, &values); err != nil {
			t.Fatal(err)
		}
	}
	text, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSettings([]byte(injecttemplate.Config()), text)
	if err != nil {
		t.Fatal(err)
	}
	s.token = func() string { return "TOKENTOKENTOKENTOKENTOKEN2" }
	return s
}

// Each case is a pod (pod.yaml) in a namespace that asks for injection, values (values.yaml) where they matter, and what
// becomes of it: the decision and what
// there is to say (want.txt), and the pod after the patch (want.yaml). Every patched pod is asked about again, and its
// containers but istio-init must meet the restricted profile whenever the pod did before.
func TestGolden(t *testing.T) {
	golden.Run(t, "testdata/*.txtar", func(t *testing.T, c golden.Case) map[string]string {
		s := settingsWith(t, c.Files["values.yaml"])
		raw, err := yaml.YAMLToJSON(c.Files["pod.yaml"])
		if err != nil {
			t.Fatal(err)
		}
		request := Request{Pod: raw, Namespace: "shop", NamespaceLabels: map[string]string{namespaceLabel: "enabled"}}
		result, err := s.Inject(request)
		if refusal := new(Refusal); errors.As(err, &refusal) {
			return map[string]string{"want.txt": "refused: " + refusal.Reason}
		} else if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"want.txt": describe(result)}
		if len(result.Patch) > 0 {
			patched := apply(t, raw, result.Patch)
			again(t, s, request, patched)
			profile(t, raw, patched)
			text, err := yaml.JSONToYAML(patched)
			if err != nil {
				t.Fatal(err)
			}
			want["want.yaml"] = string(text)
		}
		return want
	})
}

func describe(r Result) string {
	var b strings.Builder
	verb := "not injected"
	if r.Decision.Inject {
		verb = "injected"
	}
	fmt.Fprintf(&b, "%s: %s (%s)\n", verb, r.Decision.Reason, r.Decision.Rule)
	for _, w := range r.Warnings {
		fmt.Fprintln(&b, "warning:", w)
	}
	return b.String()
}

func apply(t testing.TB, raw []byte, operations []Operation) []byte {
	t.Helper()
	text, err := json.Marshal(operations)
	if err != nil {
		t.Fatal(err)
	}
	patch, err := jsonpatch.DecodePatch(text)
	if err != nil {
		t.Fatal(err)
	}
	out, err := patch.Apply(raw)
	if err != nil {
		t.Fatalf("the patch does not apply: %v\n%s", err, text)
	}
	return out
}

func again(t testing.TB, s *Settings, r Request, patched []byte) {
	t.Helper()
	r.Pod = patched
	result, err := s.Inject(r)
	if err != nil || len(result.Patch) > 0 {
		t.Errorf("a second injection: patch %v, error %v", result.Patch, err)
	}
}

// profile checks the pod without istio-init against the Pod Security Standards.
func profile(t testing.TB, before, after []byte) {
	t.Helper()
	evaluator, err := psapolicy.NewEvaluator(psapolicy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	level := psaapi.LevelVersion{Level: psaapi.LevelRestricted, Version: psaapi.LatestVersion()}
	violations := func(raw []byte) string {
		pod := &corev1.Pod{}
		if err := json.Unmarshal(raw, pod); err != nil {
			t.Fatal(err)
		}
		var rest []corev1.Container
		for _, c := range pod.Spec.InitContainers {
			if c.Name != "istio-init" {
				rest = append(rest, c)
			}
		}
		pod.Spec.InitContainers = rest
		result := psapolicy.AggregateCheckResults(evaluator.EvaluatePod(level, &pod.ObjectMeta, &pod.Spec))
		return result.ForbiddenDetail()
	}
	if violations(before) == "" && violations(after) != "" {
		t.Errorf("the sidecar violates the restricted profile: %s", violations(after))
	}
	if strings.Contains(violations(after), proxyName) {
		t.Errorf("container %s violates the restricted profile: %s", proxyName, violations(after))
	}
}

func TestDecide(t *testing.T) {
	enabled := map[string]string{namespaceLabel: "enabled"}
	cases := map[string]struct {
		reason string
		pod    string
		ns     string
		labels map[string]string
		config string
		asked  bool
		want   Decision
	}{
		"NamespaceLabel": {reason: "The namespace's default.", labels: enabled,
			want: Decision{true, "namespaceAsks", "namespace shop asks for it"}},
		"Nobody": {reason: "Without a wish nothing happens.",
			want: Decision{false, "nobodyAsked", "neither the pod nor its namespace asks for a sidecar"}},
		"AnnotationAlone": {reason: "The opt-in of the old articles.", pod: `{"metadata":{"annotations":{"sidecar.istio.io/inject":"true"}}}`,
			want: Decision{true, "podAnnotation", `pod annotation sidecar.istio.io/inject is "true"`}},
		"PodLabelRefuses": {reason: "A pod may refuse what its namespace asks for.", labels: enabled, pod: `{"metadata":{"labels":{"sidecar.istio.io/inject":"false"}}}`,
			want: Decision{false, "podLabel", `pod label sidecar.istio.io/inject is "false"`}},
		"LabelBeforeAnnotation": {reason: "The label is the newer wish.", pod: `{"metadata":{"labels":{"sidecar.istio.io/inject":"false"},"annotations":{"sidecar.istio.io/inject":"true"}}}`,
			want: Decision{false, "podLabel", `pod label sidecar.istio.io/inject is "false"`}},
		"OldYes": {reason: "YAML 1.1 had more words for true.", pod: `{"metadata":{"annotations":{"sidecar.istio.io/inject":"Yes"}}}`,
			want: Decision{true, "podAnnotation", `pod annotation sidecar.istio.io/inject is "Yes"`}},
		"Nonsense": {reason: "A word that is neither has no say.", labels: enabled, pod: `{"metadata":{"labels":{"sidecar.istio.io/inject":"maybe"}}}`,
			want: Decision{true, "namespaceAsks", "namespace shop asks for it"}},
		"HostNetwork": {reason: "Redirection would change the node's network.", labels: enabled, pod: `{"spec":{"hostNetwork":true}}`,
			want: Decision{false, "hostNetwork", "the pod uses the node's network"}},
		"StaticPod": {reason: "The node would not run what is added to the mirror.", labels: enabled, pod: `{"metadata":{"annotations":{"kubernetes.io/config.mirror":"1"}}}`,
			want: Decision{false, "staticPod", "the pod mirrors a static one"}},
		"HostNetworkInsists": {reason: "Not even on request.", pod: `{"metadata":{"labels":{"sidecar.istio.io/inject":"true"}},"spec":{"hostNetwork":true}}`,
			want: Decision{false, "hostNetwork", "the pod uses the node's network"}},
		"Windows": {reason: "There is no proxy for it.", labels: enabled, pod: `{"spec":{"os":{"name":"windows"}}}`,
			want: Decision{false, "operatingSystem", "the pod is for windows"}},
		"KubeSystem": {reason: "The cluster must start without us.", ns: "kube-system", labels: enabled,
			want: Decision{false, "systemNamespace", "namespace kube-system is never injected"}},
		"MeshNamespace": {reason: "So must we.", ns: "istio-system", labels: enabled, pod: `{"metadata":{"labels":{"sidecar.istio.io/inject":"true"}}}`,
			want: Decision{false, "systemNamespace", "namespace istio-system is never injected"}},
		"NamespaceRefuses": {reason: "The namespace's owner outranks the pod's author.", labels: map[string]string{namespaceLabel: "disabled"}, pod: `{"metadata":{"labels":{"sidecar.istio.io/inject":"true"}}}`,
			want: Decision{false, "namespaceRefuses", "namespace label istio-injection is disabled"}},
		"OtherRevision": {reason: "Another control plane's pod.", labels: enabled, pod: `{"metadata":{"labels":{"istio.io/rev":"canary"}}}`,
			want: Decision{false, "otherRevision", `pod label istio.io/rev is "canary", this control plane is "default"`}},
		"OwnRevision": {reason: "A namespace may ask by revision.", labels: map[string]string{"istio.io/rev": "default"},
			want: Decision{true, "namespaceAsks", "namespace shop asks for it"}},
		"NeverSelector": {reason: "The administrator's exception.", labels: enabled, pod: `{"metadata":{"labels":{"app":"legacy"}}}`, config: "neverInjectSelector: [{matchLabels: {app: legacy}}]",
			want: Decision{false, "neverInjectSelector", "the pod's labels match neverInjectSelector[0]: app=legacy"}},
		"PodBeforeSelector": {reason: "An exception is a default, the pod's wish is explicit.", pod: `{"metadata":{"labels":{"app":"legacy","sidecar.istio.io/inject":"true"}}}`, config: "neverInjectSelector: [{matchLabels: {app: legacy}}]",
			want: Decision{true, "podLabel", `pod label sidecar.istio.io/inject is "true"`}},
		"AlwaysSelector": {reason: "The opposite exception.", pod: `{"metadata":{"labels":{"app":"edge"}}}`, config: "alwaysInjectSelector: [{matchLabels: {app: edge}}]",
			want: Decision{true, "alwaysInjectSelector", "the pod's labels match alwaysInjectSelector[0]: app=edge"}},
		"PolicyDisabled": {reason: "Only pods that ask.", labels: enabled, config: "policy: disabled",
			want: Decision{false, "namespaceAsks", "policy is disabled: only pods that ask by sidecar.istio.io/inject get a sidecar"}},
		"Asked": {reason: "kube-inject means it.", asked: true,
			want: Decision{true, "kubeInject", "asked for on the command line"}},
		"CopiedStatus": {reason: "The annotation alone proves nothing: it is copied with a manifest.", labels: enabled, pod: `{"metadata":{"annotations":{"sidecar.istio.io/status":"{}"}}}`,
			want: Decision{true, "namespaceAsks", "namespace shop asks for it"}},
		"Injected": {reason: "One sidecar is enough.", labels: enabled, pod: `{"metadata":{"annotations":{"sidecar.istio.io/status":"{}"}},"spec":{"initContainers":[{"name":"istio-proxy"}]}}`,
			want: Decision{false, "alreadyInjected", "the pod has a sidecar already"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{}
			if tc.pod != "" {
				if err := json.Unmarshal([]byte(tc.pod), pod); err != nil {
					t.Fatal(err)
				}
			}
			if tc.ns == "" {
				tc.ns = "shop"
			}
			got := decide(subject{pod, tc.ns, tc.labels, tc.asked, withConfig(t, tc.config)})
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\n(-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// withConfig replaces lines of the shipped configuration.
func withConfig(t *testing.T, change string) *Settings {
	t.Helper()
	config := map[string]any{}
	for _, text := range []string{injecttemplate.Config(), change} {
		if err := yaml.Unmarshal([]byte(text), &config); err != nil {
			t.Fatal(err)
		}
	}
	text, err := yaml.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSettings(text, []byte(testValues))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestNewSettingsRefuses(t *testing.T) {
	good := injecttemplate.Config()
	cases := map[string]struct{ reason, config, values, want string }{
		"NoImage":       {"A sidecar has an image.", good, `{}`, "parse values: proxyImage is not set"},
		"Policy":        {"A misspelt policy must not mean one of the two.", "policy: on", testValues, `parse config: policy "true": use enabled or disabled`},
		"Misspelt":      {"A key that does nothing is an error.", "polcy: enabled", testValues, `unknown field "polcy"`},
		"EmptySelector": {"An empty selector would match every pod.", "policy: enabled\nneverInjectSelector: [{}]", testValues, "parse config: neverInjectSelector[0]: an empty selector would match every pod"},
		"Template":      {"A template is tried when it is read.", "policy: enabled\ntemplate: '{{ .Nothing }}'", testValues, "try the template: render template"},
		"NoProxy":       {"A template without a proxy would capture traffic into nothing.", "policy: enabled\ntemplate: '{}'", testValues, "it has no container istio-proxy"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := NewSettings([]byte(tc.config), []byte(tc.values))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s\nNewSettings: %v, want %q", tc.reason, err, tc.want)
			}
		})
	}
}
