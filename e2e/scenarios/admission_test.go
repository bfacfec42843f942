package scenarios

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// TestAdmissionMessages sends an example for every admission message about an Installation, as a dry run, and compares the
// answer word for word.
func TestAdmissionMessages(t *testing.T) {
	readyMesh(t)
	var examples []struct {
		Name   string         `json:"name"`
		By     string         `json:"by"`
		Spec   map[string]any `json:"spec"`
		Object map[string]any `json:"object"`
		Delete map[string]any `json:"delete"`
		Says   string         `json:"says"`
		Hides  string         `json:"hides"`
	}
	must(t, yaml.Unmarshal([]byte(read(t, "controllers/installation/admission/testdata/admission.yaml")), &examples))
	for _, e := range examples {
		t.Run(e.Name, func(t *testing.T) {
			var answer lab.Answer
			var err error
			switch {
			case e.Object != nil:
				answer, err = mesh.TryCreate(within(t, 30*time.Second), &unstructured.Unstructured{Object: e.Object})
			case e.Delete != nil:
				answer, err = mesh.TryDelete(within(t, 30*time.Second), &unstructured.Unstructured{Object: e.Delete})
			default:
				answer = trySpec(t, e.Spec)
			}
			must(t, err)
			checkAnswer(t, answer, e.By, e.Says)
			if e.Hides != "" && strings.Contains(answer.Refusal+strings.Join(answer.Warnings, " "), e.Hides) {
				t.Errorf("the answer holds the secret: %+v", answer)
			}
		})
	}
}

// trySpec updates the Installation's spec as a dry run, again when the operator has written the status in between.
func trySpec(t *testing.T, spec map[string]any) lab.Answer {
	t.Helper()
	var answer lab.Answer
	must(t, lab.Until(within(t, 30*time.Second), "no other client writes the Installation", func(ctx context.Context) error {
		in, err := mesh.Installation(ctx)
		if err != nil {
			return err
		}
		in.Object["spec"] = spec
		if answer, err = mesh.TryUpdate(ctx, in); err == nil && strings.Contains(answer.Refusal, "object has been modified") {
			err = errors.New(answer.Refusal)
		}
		return err
	}))
	return answer
}

// checkAnswer finds the message where it belongs: in a warning, or else in the refusal.
func checkAnswer(t *testing.T, answer lab.Answer, by, says string) {
	t.Helper()
	if by == "definition" {
		by = "is invalid: "
	}
	if !strings.Contains(by, "warnings") {
		if !strings.Contains(answer.Refusal, by) || !strings.Contains(answer.Refusal, says) {
			t.Errorf("refusal %q; want one by %q that says %q", answer.Refusal, by, says)
		}
		return
	}
	if answer.Refusal != "" {
		t.Errorf("refused: %s", answer.Refusal)
	}
	if !slices.ContainsFunc(answer.Warnings, func(w string) bool { return strings.Contains(w, by) && strings.HasSuffix(w, says) }) {
		t.Errorf("warnings %q; want one by %q that says %q", answer.Warnings, by, says)
	}
}

// TestOperatorStaysWhileItIsNeeded deletes each object of config/default, as a dry run: while there is an Installation, the
// operator and all that it needs to remove the mesh cannot be deleted.
func TestOperatorStaysWhileItIsNeeded(t *testing.T) {
	readyMesh(t)
	text, err := mesh.Kubectl(within(t, time.Minute), "kustomize", "config/default")
	must(t, err)
	objects, err := lab.Objects(text)
	must(t, err)
	for _, u := range objects {
		if u.GroupVersionKind().Group == "admissionregistration.k8s.io" {
			continue // no admission policy applies to the deletion of policies; the operator restores this one when it starts
		}
		answer, err := mesh.TryDelete(within(t, 30*time.Second), u)
		must(t, err)
		if !strings.Contains(answer.Refusal, "remove it first: kubectl delete -n istio-operator installation istio-installation") {
			t.Errorf("deletion of %s %s: %q; want a refusal with the command to run first", u.GetKind(), u.GetName(), answer.Refusal)
		}
	}
}

// TestAdmissionNoWarnings checks that valid specs get no warning.
func TestAdmissionNoWarnings(t *testing.T) {
	readyMesh(t)
	for name, spec := range map[string]map[string]any{
		"nothing": {},
		"every kind of setting": {
			"istio":      map[string]any{"authentication": true, "prefix": "registry.example.com/team/", "version": "1.9.0"},
			"security":   map[string]any{"mtls": map[string]any{"mode": "STRICT"}},
			"gateways":   []any{map[string]any{"name": "mine", "service": map[string]any{"ports": []any{map[string]any{"name": "status-port", "port": int64(15021)}}}}},
			"components": map[string]any{"pilot": map[string]any{"autoscaling": map[string]any{"minReplicas": int64(2), "maxReplicas": int64(2)}}},
		},
		"versions of our own": {"istio": map[string]any{"version": "0.1.0"}},
	} {
		if answer := trySpec(t, spec); answer.Refusal != "" || len(answer.Warnings) > 0 {
			t.Errorf("%s: %+v", name, answer)
		}
	}
}
