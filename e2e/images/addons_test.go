package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// TestAddonsAreLocal: an image of another project says what it is, and no registry can be asked for it.
func TestAddonsAreLocal(t *testing.T) {
	for _, a := range addons {
		if a.Version == "" || a.Licence == "" || a.Source == "" || !strings.HasPrefix(a.Variable, "RELATED_IMAGE_") {
			t.Errorf("%s: the table misses a fact: %+v", a.Name, a)
		}
	}
	for _, i := range allImages()[len(images):] {
		if !strings.HasPrefix(i.Reference(), addonRegistry+i.Name+":") {
			t.Errorf("%s has the reference %s", i.Name, i.Reference())
		}
	}
}

// TestOperatorKustomization: the operator gets the local images by its environment, and nothing else changes.
func TestOperatorKustomization(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out", "operator")
	if err := writeOperator(filepath.Dir(filepath.Dir(dir)), dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Resources []string
		Patches   []struct{ Patch string }
	}
	if err := yaml.UnmarshalStrict(text, &got); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if diff := cmp.Diff([]string{"../../config/default"}, got.Resources); diff != "" {
		t.Error(diff)
	}
	if len(got.Patches) != 1 || !strings.Contains(got.Patches[0].Patch, `{name: RELATED_IMAGE_PROMETHEUS, value: "mesh-operator.local/prometheus:`+prometheusVersion+`"}`) {
		t.Errorf("patches: %q", got.Patches)
	}
}

// TestFolderInImage: a folder becomes its files and links, in one order.
func TestFolderInImage(t *testing.T) {
	b, i := fake(t)
	write(t, filepath.Join(b.root, "web/page.html"), "page")
	write(t, filepath.Join(b.root, "web/css/page.css"), "style")
	if err := os.Symlink("../js", filepath.Join(b.root, "web/js")); err != nil {
		t.Fatal(err)
	}
	i.Layers = [][]Entry{{{Path: "web", To: "/usr/share/web", Tree: true}}}
	got, err := b.expand(i)
	if err != nil {
		t.Fatal(err)
	}
	want := [][]Entry{{
		{Path: "web/css/page.css", To: "/usr/share/web/css/page.css"},
		{Path: "web/js", To: "/usr/share/web/js", Link: "../js"},
		{Path: "web/page.html", To: "/usr/share/web/page.html"},
	}}
	if diff := cmp.Diff(want, got.Layers); diff != "" {
		t.Error(diff)
	}
	i.Layers[0][0].Path = "none"
	if _, err := b.expand(i); err == nil {
		t.Error("a folder that is missing is no error")
	}
}
