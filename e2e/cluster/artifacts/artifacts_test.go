package artifacts

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func TestVersionIsTheModules(t *testing.T) {
	content, err := os.ReadFile("../kube/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if want := "k8s.io/kubernetes " + kubernetesVersion + "\n"; !strings.Contains(string(content), want) {
		t.Errorf("kube/go.mod does not require %s", want)
	}
}

func TestKey(t *testing.T) {
	if key("ab", "c") == key("a", "bc") {
		t.Error("the key does not tell where an input ends")
	}
	if first, again := key("a"), key("a"); first != again {
		t.Error("the key of one input changes")
	}
}

// TestInterrupted: what failed half-way leaves nothing, and the next attempt succeeds.
func TestInterrupted(t *testing.T) {
	store := &Store{Cache: t.TempDir(), Out: io.Discard}
	fails := true
	s := step{name: "thing", path: filepath.Join(store.Cache, "thing", "key", "file"), make: func(_ context.Context, dir string) error {
		if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
			return err
		}
		if fails {
			return errors.New("interrupted")
		}
		return nil
	}}
	if err := store.make(t.Context(), []step{s}); err == nil || !s.missing() {
		t.Errorf("error %v, missing %t", err, s.missing())
	}
	fails = false
	if err := store.make(t.Context(), []step{s}); err != nil || s.missing() {
		t.Errorf("error %v, missing %t", err, s.missing())
	}
	left, err := filepath.Glob(filepath.Join(store.Cache, "thing", "*.new"))
	if err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// TestAnnouncement: everything that is missing is named before the first of it is made.
func TestAnnouncement(t *testing.T) {
	var out strings.Builder
	store := &Store{Cache: t.TempDir(), Out: &out}
	var said string
	steps := []step{
		{name: "one", how: "downloaded", path: filepath.Join(store.Cache, "1", "x"), make: func(context.Context, string) error { said = out.String(); return nil }},
		{name: "two", how: "compiled", path: filepath.Join(store.Cache, "2", "x"), make: func(context.Context, string) error { return nil }},
	}
	if err := store.make(t.Context(), steps); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{store.Cache, "one: downloaded", "two: compiled"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not printed first:\n%s", want, said)
		}
	}
}

func TestPackImage(t *testing.T) {
	dir := t.TempDir()
	binary, archive := filepath.Join(dir, "tool"), filepath.Join(dir, "tool.tar")
	if err := os.WriteFile(binary, []byte("#!"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := PackImage(binary, "localhost/tool:1", archive); err != nil {
		t.Fatal(err)
	}
	image, err := tarball.ImageFromPath(archive, nil)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil || config.Config.Entrypoint[0] != "/tool" {
		t.Errorf("entry point %v, %v", config.Config.Entrypoint, err)
	}
}

func TestPackagesArePinned(t *testing.T) {
	for _, p := range packages {
		if name, version, found := strings.Cut(p, "="); !found || name == "" || version == "" {
			t.Errorf("package %q has no version", p)
		}
	}
}
