package scenarios

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// TestInstallationSecretsStay sets passwords in the Installation and searches for them in every log and every object of the API:
// only the Installation's spec may hold them.
func TestInstallationSecretsStay(t *testing.T) {
	installation(t)
	sharedBookinfo(t)
	const kiali, openshift, github = "canary-of-kiali-7d1f", "canary-of-openshift-58ce", "canary-of-github-93ab"
	patch := fmt.Sprintf(`{"spec": {"kiali": {"username": "u", "password": %q}, "launcher": {"openshift": {"user": "u", "password": %q},
		"github": {"username": "u", "token": %q}}, "components": {"galley": {"podAnnotations": {"example.com/canary": "found"}}}}}`, kiali, openshift, github)
	edit(t, patch)
	for _, secret := range []string{kiali, openshift, github} {
		t.Run(secret, func(t *testing.T) { onlyInTheSpec(t, secret) })
	}
	t.Run("the search finds an annotation", func(t *testing.T) {
		if !deploymentHas(t, `"example.com/canary":"found"`) {
			t.Error("the annotation of galley's pods was not found: the search misses objects")
		}
	})
}

func onlyInTheSpec(t *testing.T, secret string) {
	must(t, mesh.EachObject(within(t, time.Minute), func(resource schema.GroupVersionResource, u *unstructured.Unstructured) {
		if resource.GroupResource() == lab.InstallationResource.GroupResource() {
			if !strings.Contains(objectText(t, u), secret) {
				t.Error("the Installation itself does not have it")
			}
			unstructured.RemoveNestedField(u.Object, "spec")
		}
		if strings.Contains(objectText(t, u), secret) {
			t.Errorf("%s %s/%s has it", resource.Resource, u.GetNamespace(), u.GetName())
		}
	}))
	for _, namespace := range []string{"istio-operator", "istio-system", bookinfo} {
		must(t, mesh.EachLog(within(t, time.Minute), namespace, func(pod, container, text string) {
			if strings.Contains(text, secret) {
				t.Errorf("the log of %s/%s has it", pod, container)
			}
		}))
	}
}

func deploymentHas(t *testing.T, text string) bool {
	t.Helper()
	found := false
	must(t, mesh.EachObject(within(t, time.Minute), func(_ schema.GroupVersionResource, u *unstructured.Unstructured) {
		found = found || u.GetKind() == "Deployment" && strings.Contains(objectText(t, u), text)
	}))
	return found
}

// objectText is an object as JSON, and the decoded values of a Secret.
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
