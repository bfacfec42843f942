package desired

import (
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

// specs are Installations that between them render every object.
var specs = map[string]string{
	"minimal": "{}",
	"full": `
gateways: [{name: partner}]
jaeger: {storage: {type: Memory}}
components:
  pilot: {autoscaling: {maxReplicas: 2}, podDisruptionBudget: {minAvailable: 1}}`,
}

func TestPodsAreRestricted(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	level := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for _, deployment := range append(deployments(t), configured[appsv1.Deployment](t, "Deployment")...) {
		template := deployment.Spec.Template
		for _, result := range evaluator.EvaluatePod(level, &template.ObjectMeta, &template.Spec) {
			if !result.Allowed {
				t.Errorf("%s is not restricted: %s: %s", deployment.Name, result.ForbiddenReason, result.ForbiddenDetail)
			}
		}
	}
}

func deployments(t *testing.T) []appsv1.Deployment {
	t.Helper()
	var out []appsv1.Deployment
	for _, spec := range specs {
		out = append(out, objects[appsv1.Deployment](t, build(t, []byte(spec), true).Objects(), "Deployment")...)
	}
	return out
}

// TestRolesHaveNoWildcards keeps wildcards, and Secrets of the whole cluster, out of every role.
func TestRolesHaveNoWildcards(t *testing.T) {
	roles := map[string][]rbacv1.PolicyRule{}
	for _, role := range append(rendered[rbacv1.ClusterRole](t, "ClusterRole"), configured[rbacv1.ClusterRole](t, "ClusterRole")...) {
		roles["ClusterRole "+role.Name] = role.Rules
	}
	for _, role := range append(rendered[rbacv1.Role](t, "Role"), configured[rbacv1.Role](t, "Role")...) {
		roles["Role "+role.Name] = role.Rules
	}
	for name, rules := range roles {
		for _, rule := range rules {
			for _, value := range slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs, rule.NonResourceURLs) {
				if strings.Contains(value, "*") || value == "escalate" || value == "impersonate" {
					t.Errorf("%s has %q in %v", name, value, rule)
				}
			}
			clusterWide := strings.HasPrefix(name, "ClusterRole") && name != "ClusterRole istio-operator-mesh"
			if clusterWide && slices.Contains(rule.Resources, "secrets") {
				t.Errorf("%s reaches the Secrets of all namespaces: %v", name, rule)
			}
			if slices.Contains(rule.Verbs, "bind") && len(rule.ResourceNames) == 0 {
				t.Errorf("%s may bind any role: %v", name, rule)
			}
		}
	}
	for _, binding := range append(rendered[rbacv1.ClusterRoleBinding](t, "ClusterRoleBinding"), configured[rbacv1.ClusterRoleBinding](t, "ClusterRoleBinding")...) {
		if binding.RoleRef.Name == "cluster-admin" || binding.RoleRef.Name == "istio-operator-mesh" {
			t.Errorf("ClusterRoleBinding %s grants %s everywhere", binding.Name, binding.RoleRef.Name)
		}
	}
}

// TestOperatorHoldsWhatItGrants checks what the API server would refuse at run time: no account can grant rights that it lacks.
func TestOperatorHoldsWhatItGrants(t *testing.T) {
	held := map[string][]rbacv1.PolicyRule{}
	for _, role := range configured[rbacv1.ClusterRole](t, "ClusterRole") {
		held[role.Name] = role.Rules
	}
	everywhere := slices.Concat(held["istio-operator"], held["istio-operator-grants"])
	for _, role := range rendered[rbacv1.ClusterRole](t, "ClusterRole") {
		checkHeld(t, "ClusterRole "+role.Name, role.Rules, everywhere)
	}
	for _, role := range rendered[rbacv1.Role](t, "Role") {
		checkHeld(t, "Role "+role.Name, role.Rules, slices.Concat(everywhere, held["istio-operator-mesh"]))
	}
}

func checkHeld(t *testing.T, name string, granted, held []rbacv1.PolicyRule) {
	t.Helper()
	for _, rule := range granted {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					if !slices.ContainsFunc(held, func(h rbacv1.PolicyRule) bool {
						return slices.Contains(h.APIGroups, group) && slices.Contains(h.Resources, resource) &&
							slices.Contains(h.Verbs, verb) && coversNames(h.ResourceNames, rule.ResourceNames)
					}) {
						t.Errorf("%s grants %s %s.%s %v, which the operator does not hold", name, verb, resource, group, rule.ResourceNames)
					}
				}
			}
		}
	}
}

func coversNames(held, granted []string) bool {
	if len(held) == 0 {
		return true
	}
	return len(granted) > 0 && !slices.ContainsFunc(granted, func(name string) bool { return !slices.Contains(held, name) })
}

func rendered[T any](t *testing.T, kind string) []T {
	t.Helper()
	return objects[T](t, build(t, []byte(specs["full"]), true).Objects(), kind)
}

// configured returns objects of config/.
func configured[T any](t *testing.T, kind string) []T {
	t.Helper()
	paths, err := filepath.Glob("../../../config/*/*.yaml")
	if err != nil || len(paths) == 0 {
		t.Fatalf("find config: %v", err)
	}
	var all []*unstructured.Unstructured
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for document := range strings.SplitSeq(string(data), "\n---\n") {
			object := &unstructured.Unstructured{}
			if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			all = append(all, object)
		}
	}
	return objects[T](t, all, kind)
}

func objects[T any](t *testing.T, all []*unstructured.Unstructured, kind string) []T {
	t.Helper()
	var out []T
	for _, object := range all {
		if object.GetKind() != kind {
			continue
		}
		var typed T
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, &typed, true); err != nil {
			t.Fatalf("%s %s: %v", kind, object.GetName(), err)
		}
		out = append(out, typed)
	}
	if len(out) == 0 {
		t.Fatalf("no %s", kind)
	}
	return out
}

// TestWebhooksFailClosed: while the injector or galley is away, what they would have judged is refused, and soon.
func TestWebhooksFailClosed(t *testing.T) {
	check := func(name string, policy *admissionv1.FailurePolicyType, timeout *int32) {
		if policy == nil || *policy != admissionv1.Fail || timeout == nil || *timeout > 10 {
			t.Errorf("webhook %s does not fail closed within ten seconds", name)
		}
	}
	for _, c := range rendered[admissionv1.MutatingWebhookConfiguration](t, "MutatingWebhookConfiguration") {
		for _, w := range c.Webhooks {
			check(w.Name, w.FailurePolicy, w.TimeoutSeconds)
		}
	}
	for _, c := range rendered[admissionv1.ValidatingWebhookConfiguration](t, "ValidatingWebhookConfiguration") {
		for _, w := range c.Webhooks {
			check(w.Name, w.FailurePolicy, w.TimeoutSeconds)
		}
	}
}

// TestPodLabelKeysAreEscaped is about a key that goes on as YAML: who may edit the Installation does not write
// other fields of a pod.
func TestPodLabelKeysAreEscaped(t *testing.T) {
	key := "x: y\nfinalizers: [written]\nz"
	spec, err := json.Marshal(map[string]any{"components": map[string]any{"pilot": map[string]any{"podLabels": map[string]string{key: "v"}}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range objects[appsv1.Deployment](t, build(t, spec, true).Objects(), "Deployment") {
		if m := d.Spec.Template.ObjectMeta; len(m.Finalizers) > 0 || d.Name == "istio-pilot" && m.Labels[key] != "v" {
			t.Errorf("%s: labels %q, finalizers %q", d.Name, m.Labels, m.Finalizers)
		}
	}
}

// addonLiveness are the pages of programs of other projects.
var addonLiveness = map[string]string{"prometheus": "/-/healthy", "jaeger": "/status", "grafana": "/api/health"}

// TestRolesHaveLivenessProbes: a role that does not answer any more is restarted, and one that is only not ready is not.
func TestRolesHaveLivenessProbes(t *testing.T) {
	for _, d := range append(deployments(t), configured[appsv1.Deployment](t, "Deployment")...) {
		for _, c := range d.Spec.Template.Spec.Containers {
			if c.Name == "istio-proxy" {
				continue // the agent of a gateway has no such page yet
			}
			path := cmp.Or(addonLiveness[c.Name], "/live")
			if c.LivenessProbe == nil || c.LivenessProbe.HTTPGet == nil || c.LivenessProbe.HTTPGet.Path != path {
				t.Errorf("%s has no liveness probe on %s", d.Name, path)
			}
		}
	}
}
