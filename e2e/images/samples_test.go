package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	psaapi "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

// objects returns what a sample file would create.
func objects(t *testing.T, path string) []*unstructured.Unstructured {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../samples", path))
	if err != nil {
		t.Fatal(err)
	}
	var all []*unstructured.Unstructured
	for documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text))); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return all
		}
		u := &unstructured.Unstructured{}
		if err := errors.Join(err, yaml.UnmarshalStrict(document, &u.Object)); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if u.GetKind() == "" || u.GetName() == "" {
			t.Errorf("%s: a document without kind or name", path)
		}
		all = append(all, u)
	}
}

// TestSamplesAreRestricted: no application of ours asks for more than the strictest profile, and each names an image that
// is built here and a user that the redirect captures.
func TestSamplesAreRestricted(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := psaapi.LevelVersion{Level: psaapi.LevelRestricted, Version: psaapi.LatestVersion()}
	var references []string
	for _, i := range images {
		references = append(references, i.Reference())
	}
	for _, path := range []string{"bookinfo/bookinfo.yaml", "httpbin/httpbin.yaml", "httpbin/httpbin-versions.yaml", "sleep/sleep.yaml"} {
		for _, u := range objects(t, path) {
			if u.GetKind() != "Deployment" {
				continue
			}
			var d appsv1.Deployment
			if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(u.Object, &d, true); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			pod := d.Spec.Template
			for _, r := range evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec) {
				if !r.Allowed {
					t.Errorf("%s: Deployment %s: %s: %s", path, d.Name, r.ForbiddenReason, r.ForbiddenDetail)
				}
			}
			if user := pod.Spec.SecurityContext.RunAsUser; user == nil || *user == 1337 {
				t.Errorf("%s: Deployment %s runs as the proxy's user", path, d.Name)
			}
			if image := pod.Spec.Containers[0].Image; !slices.Contains(references, image) {
				t.Errorf("%s: Deployment %s runs %s, which is not built here", path, d.Name, image)
			}
		}
	}
}

// The names are those that articles and their readers' fingers know.
func TestBookinfoHasItsWellKnownNames(t *testing.T) {
	got := map[string][]string{}
	for _, u := range objects(t, "bookinfo/bookinfo.yaml") {
		got[u.GetKind()] = append(got[u.GetKind()], u.GetName())
	}
	want := map[string][]string{
		"Service":        {"details", "ratings", "reviews", "productpage"},
		"ServiceAccount": {"bookinfo-details", "bookinfo-ratings", "bookinfo-reviews", "bookinfo-productpage"},
		"Deployment":     {"details-v1", "ratings-v1", "reviews-v1", "reviews-v2", "reviews-v3", "productpage-v1"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEverySampleParses(t *testing.T) {
	paths, err := filepath.Glob("../../samples/*/*.yaml")
	if err != nil || len(paths) < 15 {
		t.Fatalf("%d samples (%v)", len(paths), err)
	}
	for _, path := range paths {
		if len(objects(t, filepath.Join(filepath.Base(filepath.Dir(path)), filepath.Base(path)))) == 0 {
			t.Errorf("%s is empty", path)
		}
	}
}
