package main

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/mesh-operator/mesh-operator/internal/version"
)

// TestDockerfileMatchesTable compares what the Dockerfile says of each product image with the table.
func TestDockerfileMatchesTable(t *testing.T) {
	text, err := os.ReadFile("../../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	stages := parseDockerfile(t, string(text))
	for _, i := range images[:2] {
		t.Run(i.Name, func(t *testing.T) {
			if diff := cmp.Diff(asDockerfile(i), stages[i.Name]); diff != "" {
				t.Errorf("the Dockerfile's stage differs from the table (-table +Dockerfile):\n%s", diff)
			}
			if tag := "-t " + i.Reference() + " "; !strings.Contains(string(text), tag) {
				t.Errorf("the Dockerfile's head does not name %s, the version is %s", i.Reference(), version.Version)
			}
		})
	}
	if !strings.Contains(string(text), "FROM envoyproxy/envoy:v"+envoyVersion+" AS envoy\n") {
		t.Errorf("the Dockerfile does not take Envoy %s", envoyVersion)
	}
	if pinned := " " + strings.Join(debianPackages, " ") + "\n"; !strings.Contains(string(text), pinned) {
		t.Errorf("the Dockerfile does not take%s", pinned)
	}
}

// parseDockerfile returns the instructions of each stage that begins with nothing.
func parseDockerfile(t *testing.T, text string) map[string][]string {
	t.Helper()
	stages, current := map[string][]string{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || strings.HasPrefix(line, "#"):
		case words[0] == "FROM":
			current = ""
			if words[1] == "scratch" {
				current = words[3]
			}
		case current != "":
			stages[current] = append(stages[current], line)
		}
	}
	return stages
}

func asDockerfile(i Image) []string {
	lines := []string{
		fmt.Sprintf("LABEL org.opencontainers.image.title=%q", i.Title),
		"ENV PATH=/usr/local/bin:/usr/bin:/bin",
	}
	for _, layer := range i.Layers {
		for _, e := range layer {
			from := ""
			if e.From != Repository {
				from = "--from=" + string(e.From) + " "
			}
			lines = append(lines, "COPY "+from+e.Path+" "+e.To)
		}
	}
	entrypoint, _ := json.Marshal(i.Entrypoint)
	return append(lines, "USER "+i.User, "ENTRYPOINT "+string(entrypoint))
}

// fake is an image and a builder whose files are in a folder of the test.
func fake(t *testing.T) (*builder, Image) {
	t.Helper()
	root := t.TempDir()
	write(t, filepath.Join(root, "passwd"), "root")
	write(t, filepath.Join(root, ".bin/images/tool"), "program")
	i := Image{
		Name: "tool", Title: "a tool", User: "1:1", Entrypoint: []string{"/usr/local/bin/tool"},
		Layers: [][]Entry{
			{{From: Repository, Path: "passwd", To: "/etc/passwd"}},
			{program("tool"), {Link: "/usr/local/bin/tool", To: "/bin/alias"}},
		},
	}
	return &builder{root: root, cache: filepath.Join(root, "cache"), out: io.Discard, log: io.Discard}, i
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func TestImageHoldsItsContents(t *testing.T) {
	b, i := fake(t)
	path := filepath.Join(t.TempDir(), "tool.tar")
	if err := b.archive(i, path); err != nil {
		t.Fatal(err)
	}
	tag, _ := name.NewTag(i.Reference())
	image, err := tarball.ImageFromPath(path, &tag)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.User != "1:1" || !cmp.Equal(config.Config.Entrypoint, i.Entrypoint) || config.OS != "linux" {
		t.Errorf("configuration %+v", config.Config)
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range layers {
		r, err := l.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, list(t, r)...)
	}
	want := []string{
		"etc/ 0755 0:0 ", "etc/passwd 0644 0:0 root",
		"bin/ 0755 0:0 ", "usr/ 0755 0:0 ", "usr/local/ 0755 0:0 ", "usr/local/bin/ 0755 0:0 ",
		"usr/local/bin/tool 0755 0:0 program", "bin/alias 0777 0:0 -> /usr/local/bin/tool",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func list(t *testing.T, r io.Reader) []string {
	t.Helper()
	var lines []string
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return lines
		}
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(archive)
		if h.Linkname != "" {
			text = []byte("-> " + h.Linkname)
		}
		if !h.ModTime.Equal(epoch) {
			t.Errorf("%s has time %s", h.Name, h.ModTime)
		}
		lines = append(lines, fmt.Sprintf("%s %04o %d:%d %s", h.Name, h.Mode, h.Uid, h.Gid, text))
	}
}

func TestBuildIsReproducible(t *testing.T) {
	var sums []string
	for range 2 {
		b, i := fake(t)
		path := filepath.Join(t.TempDir(), "tool.tar")
		if err := b.archive(i, path); err != nil {
			t.Fatal(err)
		}
		sum, err := sha256File(path)
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, sum)
	}
	if sums[0] != sums[1] {
		t.Errorf("two builds of the same contents differ: %v", sums)
	}
}

func TestArchiveIsRebuiltWhenItsInputChanges(t *testing.T) {
	b, i := fake(t)
	var said strings.Builder
	b.out = &said
	path := filepath.Join(t.TempDir(), "tool.tar")
	archive := func(want string) {
		t.Helper()
		said.Reset()
		if err := b.archive(i, path); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(said.String(), want) {
			t.Errorf("it says %q, not %q", said.String(), want)
		}
	}
	archive("built")
	archive("unchanged")
	write(t, b.programPath("tool"), "another program")
	archive("built")
	i.User = "2:2"
	archive("built")
	for n := range 2 * keep {
		write(t, b.programPath("tool"), fmt.Sprint(n))
		archive("built")
	}
	if kept, _ := filepath.Glob(filepath.Join(b.cache, "images", "*")); len(kept) != keep {
		t.Errorf("%d archives in the cache, not %d: %v", len(kept), keep, kept)
	}
}

func TestFetchAnnouncesDownload(t *testing.T) {
	b, _ := fake(t)
	var said strings.Builder
	b.out = &said
	t.Setenv("PATH", t.TempDir()) // neither pip nor apt-get
	if err := b.fetch(t.Context(), []string{"debian"}); err == nil {
		t.Error("it fetched without a client")
	}
	if !strings.Contains(said.String(), "fetching Debian's libc6") {
		t.Errorf("it says %q", said.String())
	}
	if left, _ := filepath.Glob(filepath.Join(b.cache, "*")); !slices.Equal(left, []string{filepath.Join(b.cache, "apt.lock")}) {
		t.Errorf("a failed fetch left %v", left)
	}
	write(t, b.envoyPath(), "")
	if err := b.fetch(t.Context(), []string{"envoy"}); err != nil {
		t.Errorf("what is there is fetched again: %v", err)
	}
}

func TestVerifyRefusesAnotherBinary(t *testing.T) {
	path := filepath.Join(t.TempDir(), "envoy")
	write(t, path, "not Envoy")
	if err := verify(path, envoySHA256); err == nil {
		t.Error("accepted")
	}
}

// TestAuthoritiesBundle: the package has a file for each, programs read one.
func TestAuthoritiesBundle(t *testing.T) {
	root := t.TempDir()
	if err := joinAuthorities(root); err == nil {
		t.Error("no authority is no error")
	}
	write(t, filepath.Join(root, "usr/share/ca-certificates/mozilla/b.crt"), "second\n\n")
	write(t, filepath.Join(root, "usr/share/ca-certificates/mozilla/a.crt"), "first")
	if err := joinAuthorities(root); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(root, "etc/ssl/certs/ca-certificates.crt")); err != nil || string(got) != "first\nsecond\n" {
		t.Errorf("%q %v", got, err)
	}
}

// TestPinnedPackageVersionGone: Debian's archive keeps one version.
func TestPinnedPackageVersionGone(t *testing.T) {
	b, _ := fake(t)
	var said strings.Builder
	b.out = &said
	bin := t.TempDir()
	script := "#!/bin/sh\nfor last; do :; done\ncase $1 in download) case $* in *=1*) exit 1;; esac; : > $last.deb;; esac\n"
	if err := os.WriteFile(filepath.Join(bin, "apt-get"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	dir := t.TempDir()
	if err := b.downloadDebian(t.Context(), dir, []string{"tool=1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "tool.deb")); err != nil || !strings.Contains(said.String(), "taking the current ones") {
		t.Errorf("%v, it says %q", err, said.String())
	}
}
