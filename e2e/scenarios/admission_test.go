package scenarios

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// TestAdmission sends an example of every message about an Installation to the API server: what it answers has the field, the
// value and the way out, word for word. Every request is a dry run.
func TestAdmission(t *testing.T) {
	text, err := os.ReadFile("../../controllers/installation/testdata/admission.yaml")
	must(t, err)
	var examples []struct {
		Name   string         `json:"name"`
		By     string         `json:"by"`
		Spec   map[string]any `json:"spec"`
		Object map[string]any `json:"object"`
		Delete map[string]any `json:"delete"`
		Says   string         `json:"says"`
		Hides  string         `json:"hides"`
	}
	must(t, yaml.Unmarshal(text, &examples))
	for _, e := range examples {
		t.Run(e.Name, func(t *testing.T) {
			var answer lab.Answer
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
				t.Errorf("the answer tells the secret: %+v", answer)
			}
		})
	}
}

// trySpec asks what the API server says to another spec of the Installation, again if the operator has written its status
// in between.
func trySpec(t *testing.T, spec map[string]any) lab.Answer {
	t.Helper()
	var answer lab.Answer
	must(t, lab.Until(within(t, 30*time.Second), "the Installation is tried as it is now", func(ctx context.Context) error {
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

// checkAnswer finds the message where it belongs: a warning lets the object pass, everything else refuses it.
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

// TestOrderOfRemoval deletes, one by one, everything that config/default made: while there is a mesh, the operator and all
// that it needs to remove it stay.
func TestOrderOfRemoval(t *testing.T) {
	text, err := mesh.Kubectl(within(t, 30*time.Second), "kustomize", "config/default")
	must(t, err)
	objects, err := lab.Objects(text)
	must(t, err)
	for _, u := range objects {
		answer, err := mesh.TryDelete(within(t, 30*time.Second), u)
		must(t, err)
		if !strings.Contains(answer.Refusal, "remove it first: kubectl delete -n istio-operator installation istio-installation") {
			t.Errorf("deletion of %s %s: %q; want a refusal with the command to run first", u.GetKind(), u.GetName(), answer.Refusal)
		}
	}
}

// TestQuietWhereAllIsWell: a warning that everybody gets is read by nobody.
func TestQuietWhereAllIsWell(t *testing.T) {
	for name, spec := range map[string]map[string]any{
		"nothing": {},
		"a mesh in good order": {
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
