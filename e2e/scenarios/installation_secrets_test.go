package scenarios

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// TestSecretsStay writes words that exist nowhere else into the passwords of the Installation, lets the operator act on them,
// on trouble with an image and on drift, and looks for them in every log of ours and in every object of the API: only the
// Installation's spec may have them.
func TestSecretsStay(t *testing.T) {
	const kiali, openshift, github = "canary-of-kiali-7d1f", "canary-of-openshift-58ce", "canary-of-github-93ab"
	in, err := mesh.Installation(within(t, 30*time.Second))
	must(t, err)
	spec, _, _ := unstructured.NestedMap(in.Object, "spec")
	back, err := json.Marshal(map[string]any{"spec": map[string]any{"kiali": spec["kiali"], "launcher": spec["launcher"], "components": spec["components"]}})
	must(t, err)
	patch := fmt.Sprintf(`{"spec": {"kiali": {"username": "u", "password": %q}, "launcher": {"openshift": {"user": "u", "password": %q},
		"github": {"username": "u", "token": %q}}, "components": {"galley": {"podAnnotations": {"example.com/canary": "sings"}}}}}`, kiali, openshift, github)
	change(t, patch, string(back))
	for _, word := range []string{kiali, openshift, github} {
		t.Run(word, func(t *testing.T) { onlyInTheSpec(t, word) })
	}
	t.Run("the search finds what is there", func(t *testing.T) {
		if !found(t, "sings") {
			t.Error("the annotation of galley's pods was not found: the search is blind")
		}
	})
}

func onlyInTheSpec(t *testing.T, word string) {
	must(t, mesh.EachObject(within(t, time.Minute), func(resource schema.GroupVersionResource, u *unstructured.Unstructured) {
		if resource.GroupResource() == lab.InstallationResource.GroupResource() {
			if !strings.Contains(objectText(t, u), word) {
				t.Error("the Installation itself does not have it")
			}
			unstructured.RemoveNestedField(u.Object, "spec")
		}
		if strings.Contains(objectText(t, u), word) {
			t.Errorf("%s %s/%s has it", resource.Resource, u.GetNamespace(), u.GetName())
		}
	}))
	for _, namespace := range []string{"istio-operator", "istio-system", bookinfo} {
		must(t, mesh.EachLog(within(t, time.Minute), namespace, func(pod, container, text string) {
			if strings.Contains(text, word) {
				t.Errorf("the log of %s/%s has it", pod, container)
			}
		}))
	}
}

func found(t *testing.T, word string) bool {
	t.Helper()
	any := false
	must(t, mesh.EachObject(within(t, time.Minute), func(_ schema.GroupVersionResource, u *unstructured.Unstructured) {
		any = any || u.GetKind() == "Deployment" && strings.Contains(objectText(t, u), word)
	}))
	return any
}

// objectText is an object as JSON, and what a Secret hides in base64.
func objectText(t *testing.T, u *unstructured.Unstructured) string {
	t.Helper()
	text, err := u.MarshalJSON()
	must(t, err)
	if u.GetKind() != "Secret" {
		return string(text)
	}
	data, _, _ := unstructured.NestedStringMap(u.Object, "data")
	for _, value := range data {
		plain, err := base64.StdEncoding.DecodeString(value)
		must(t, err)
		text = append(text, plain...)
	}
	return string(text)
}
