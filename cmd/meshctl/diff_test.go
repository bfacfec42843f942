package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
)

// TestDiffImages reads the operator's container.
func TestDiffImages(t *testing.T) {
	got := imagesOf(corev1.Container{
		Args: []string{"operator", "--image-registry=mirror.example/istio"},
		Env:  []corev1.EnvVar{{Name: "RELATED_IMAGE_PROXYV2", Value: "example.com/proxyv2@sha256:1"}},
	})
	builtIn := desired.BuiltInImages(func(string) string { return "" })
	if got.Registry != "mirror.example/istio" || got.BuiltIn[desired.ProxyImage] != "example.com/proxyv2@sha256:1" || got.BuiltIn[desired.OperatorImage] != builtIn[desired.OperatorImage] {
		t.Errorf("%+v", got)
	}
	if got := imagesOf(corev1.Container{Args: []string{"--image-registry", "r"}}); got.Registry != "r" {
		t.Errorf("registry %q", got.Registry)
	}
}

func TestDiffTag(t *testing.T) {
	for image, want := range map[string]string{"a:5000/b/mesh-operator:0.1.0": "0.1.0", "a:5000/mesh-operator": "", "mesh-operator:1@sha256:2": "", "": ""} {
		if got := tagOf(image); got != want {
			t.Errorf("%s: %q, want %q", image, got, want)
		}
	}
}

// TestDiffRefuses needs no cluster for files, and an API server without the operator for the last.
func TestDiffRefuses(t *testing.T) {
	apps := metav1.GroupVersionForDiscovery{GroupVersion: "apps/v1", Version: "v1"}
	discovery := map[string]any{
		"/api":          metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}},
		"/apis":         metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}, Groups: []metav1.APIGroup{{Name: "apps", Versions: []metav1.GroupVersionForDiscovery{apps}, PreferredVersion: apps}}},
		"/apis/apps/v1": metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: "apps/v1", APIResources: []metav1.APIResource{{Name: "deployments", Kind: "Deployment", Namespaced: true}}},
	}
	kubeconfig := kubeconfigOf(t, func(w http.ResponseWriter, r *http.Request) {
		if answer, ok := discovery[r.URL.Path]; ok {
			_ = json.NewEncoder(w).Encode(answer)
			return
		}
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Reason: metav1.StatusReasonNotFound, Code: 404})
	})
	const one = "apiVersion: istio.openshift.com/v1alpha1\nkind: Installation\nmetadata: {name: istio-installation}\n"
	for name, c := range map[string]struct{ file, args, want string }{
		"no file":      {"", "", "hint: write -f FILE"},
		"missing file": {"", "-f /none", "error: read the Installation: open /none: no such file or directory"},
		"output":       {one, "-o yaml", "hint: write -o text or -o json"},
		"other kinds":  {"kind: Namespace\napiVersion: v1\n", "", "holds 0 Installations, want one\nmeshctl: hint: kubectl get installation -n istio-operator"},
		"two":          {one + "---\n" + one, "", "holds 2 Installations, want one"},
		"no YAML":      {"a: [", "", "error: read the Installation: parse "},
		"no operator":  {"kind: Namespace\napiVersion: v1\n---\n" + one, "", "error: this cluster has no kind Installation\nmeshctl: hint: install the operator first"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"diff", "--kubeconfig", kubeconfig}, strings.Fields(c.args)...)
			if c.file != "" {
				path := filepath.Join(t.TempDir(), "installation.yaml")
				if err := os.WriteFile(path, []byte(c.file), 0o600); err != nil {
					t.Fatal(err)
				}
				args = append(args, "-f", path)
			}
			if code, out, errs := meshctl(t, args...); code != 1 || out != "" || !strings.Contains(errs, c.want) {
				t.Errorf("code %d, %q, %s", code, out, errs)
			}
		})
	}
}
