package preview

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/golden"
)

// TestText compares the objects of a case: before and after an apply.
func TestText(t *testing.T) {
	golden.Run(t, "testdata/*.txtar", func(t *testing.T, c golden.Case) map[string]string {
		before, after := object(t, c.Files["before.yaml"]), object(t, c.Files["after.yaml"])
		r := Result{Unchanged: 3}
		if o, ok := Changed(before, after); ok {
			r.Objects = append(r.Objects, o)
		} else {
			r.Unchanged++
		}
		return map[string]string{"want.txt": r.Text()}
	})
}

func object(t *testing.T, text []byte) *unstructured.Unstructured {
	t.Helper()
	data, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(data); err != nil {
		t.Fatal(err)
	}
	return u
}

// TestTextOfActions has one object of each action.
func TestTextOfActions(t *testing.T) {
	ref := apply.Ref{Kind: "Service", Namespace: "istio-system", Name: "jaeger"}
	got := Result{Objects: []Object{
		Of(Create, ref, ""), Of(Remove, apply.Ref{Kind: "ClusterRole", Name: "r"}, ""), Of(Keep, ref, "it holds data"), Of(Conflict, ref, "of another"), Of(Refused, ref, "no\x1b"),
	}}.Text()
	const want = `+ create Service istio-system/jaeger
- remove ClusterRole r
= keep Service istio-system/jaeger: it holds data
! conflict Service istio-system/jaeger: of another
! refused Service istio-system/jaeger: no?
1 to create, 0 to change (0 of them restarted), 1 to remove, 0 unchanged, 1 kept, 1 in conflict, 1 refused
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
