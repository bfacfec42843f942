package main

import (
	"bytes"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	testregistry "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// TestPush pushes an image to a registry and pulls it: the same files and configuration, in compressed layers.
func TestPush(t *testing.T) {
	server := httptest.NewServer(testregistry.New(testregistry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, bytes.Repeat([]byte("content "), 4096), 0o755); err != nil {
		t.Fatal(err)
	}
	i := Image{Name: "small", Title: "a test", Layers: [][]Entry{{{From: Build, Path: "/out/small", To: "/bin/small"}}}, Entrypoint: []string{"/bin/small"}, User: "1:1"}
	image, err := assemble(i, func(Entry) string { return program })
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(i.Reference())
	if err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(dir, "small.tar")
	if err := tarball.WriteToFile(archive, tag, image); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	b := &builder{out: &out}
	reference := inRegistry(strings.TrimPrefix(server.URL, "http://")+"/mesh/", i.Reference())
	if err := b.push(t.Context(), archive, reference); err != nil {
		t.Fatal(err)
	}
	pulled, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	got, err := remote.Image(pulled)
	if err != nil {
		t.Fatal(err)
	}
	config, err := got.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.User != "1:1" || config.Config.Entrypoint[0] != "/bin/small" || config.Architecture != "amd64" {
		t.Errorf("configuration is %+v", config)
	}
	layers, err := got.Layers()
	if err != nil {
		t.Fatal(err)
	}
	if size, err := layers[0].Size(); err != nil || size > 4096 {
		t.Errorf("the layer of 32 KB has %d bytes in the registry (%v)", size, err)
	}
	files, err := io.ReadAll(mutate.Extract(got))
	if err != nil || !bytes.Contains(files, []byte("content content")) {
		t.Errorf("the pulled image lacks its file (%v)", err)
	}
	if !strings.Contains(out.String(), "pushed, "+reference+"@sha256:") {
		t.Errorf("printed %q", out.String())
	}
}

// TestMirror: the operator and every image that it installs come from the registry.
func TestMirror(t *testing.T) {
	dir := t.TempDir()
	if err := writeMirror(dir, filepath.Join(dir, "out"), "registry.example/mesh"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "out", "kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addons {
		if want := "{name: " + a.Variable + `, value: "registry.example/mesh/` + a.Name + ":" + a.Version + `"}`; !strings.Contains(string(text), want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if want := `image: "registry.example/mesh/mesh-operator:`; !strings.Contains(string(text), want) || !strings.Contains(string(text), "resources: [../config/default]") {
		t.Errorf("no %s in\n%s", want, text)
	}
}
