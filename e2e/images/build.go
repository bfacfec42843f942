package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// builder makes image archives out of this clone and the cache.
type builder struct {
	root  string // the repository's top folder
	cache string
	out   io.Writer
	log   io.Writer // what commands say
}

// keep is how many archives of an image stay in the cache: a few, so that going back and forth between branches is quick.
const keep = 3

// build writes one archive per image into dir and prints its name, size and time. Programs are compiled first and in one
// go, for they share most of their packages.
func (b *builder) build(ctx context.Context, wanted []Image, dir string) error {
	if err := b.fetchFor(ctx, wanted); err != nil {
		return err
	}
	started := time.Now()
	if err := b.compile(ctx, wanted); err != nil {
		return err
	}
	fmt.Fprintf(b.out, "%-14s %8s %7s\n", "programs", "", seconds(started))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, i := range wanted {
		if err := b.archive(i, filepath.Join(dir, i.Name+".tar")); err != nil {
			return err
		}
	}
	return writeOperator(b.root, filepath.Join(dir, "operator"))
}

func seconds(started time.Time) string { return fmt.Sprintf("%.1f s", time.Since(started).Seconds()) }

func (b *builder) compile(ctx context.Context, wanted []Image) error {
	var names []string
	for _, i := range wanted {
		names = append(names, i.programNames()...)
	}
	slices.Sort(names)
	for _, n := range slices.Compact(names) {
		args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", b.programPath(n), programs[n]}
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = b.root, b.log, b.log
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("compile %s: %w", programs[n], err)
		}
	}
	return nil
}

func (b *builder) programPath(name string) string {
	return filepath.Join(b.root, ".bin", "images", name)
}

// source is the local file of an entry.
func (b *builder) source(e Entry) string {
	switch e.From {
	case Build:
		return b.programPath(filepath.Base(e.Path))
	case Envoy:
		return b.envoyPath()
	case Debian:
		return filepath.Join(b.debianPath(), e.Path)
	case Prometheus:
		return filepath.Join(b.prometheusPath(), e.Path)
	case Jaeger:
		return b.jaegerPath("jaeger")
	case IndexCleaner:
		return b.jaegerPath("es-index-cleaner")
	case OpenSearch:
		return filepath.Join(b.openSearchPath(), e.Path)
	case Grafana:
		return filepath.Join(b.grafanaPath(), e.Path)
	default:
		return filepath.Join(b.root, e.Path)
	}
}

// archive puts the image's archive at path, from the cache when its contents are the same as before.
func (b *builder) archive(i Image, path string) error {
	started := time.Now()
	i, err := b.expand(i)
	if err != nil {
		return fmt.Errorf("list the contents of image %s: %w", i.Name, err)
	}
	key, err := b.key(i)
	if err != nil {
		return fmt.Errorf("hash the contents of image %s: %w", i.Name, err)
	}
	cached := filepath.Join(b.cache, "images", i.Name+"-"+key+".tar")
	how := "unchanged"
	if os.Chtimes(cached, time.Now(), time.Now()) != nil {
		how = "built"
		if err := b.write(i, cached); err != nil {
			return err
		}
	}
	b.prune(i)
	if err := place(cached, path); err != nil {
		return fmt.Errorf("copy image %s: %w", i.Name, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "%-14s %5d MB %7s  %s, %s\n", i.Name, info.Size()/1e6, seconds(started), how, i.Reference())
	return nil
}

// key changes with everything that goes into the image, and with nothing else.
func (b *builder) key(i Image) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "3 %q %q %q %q\n", i.Reference(), i.Title, i.Entrypoint, i.User)
	for n, layer := range i.Layers {
		for _, e := range layer {
			fmt.Fprintf(h, "%d %q %q ", n, e.To, e.Link)
			if e.Link == "" {
				if err := hashFile(h, b.source(e)); err != nil {
					return "", err
				}
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// hashFile adds the file's own hash, which has one length: what follows cannot be taken for its end.
func hashFile(to io.Writer, path string) error {
	sum, err := sha256File(path)
	if err != nil {
		return err
	}
	_, err = io.WriteString(to, sum+"\n")
	return err
}

func sha256File(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	h := sha256.New()
	_, err = io.Copy(h, file)
	return hex.EncodeToString(h.Sum(nil)), err
}

func (b *builder) write(i Image, path string) error {
	image, err := assemble(i, b.source)
	if err != nil {
		return err
	}
	tag, err := name.NewTag(i.Reference())
	if err != nil {
		return err
	}
	return atomically(path, func(temporary string) error { return tarball.WriteToFile(temporary, tag, image) })
}

// atomically makes path appear complete or not at all, also when somebody else makes it at the same time.
func atomically(path string, write func(temporary string) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".making-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	temporary := filepath.Join(dir, filepath.Base(path))
	if err := write(temporary); err != nil {
		return err
	}
	err = os.Rename(temporary, path)
	if errors.Is(err, os.ErrExist) {
		return nil // a folder that somebody else finished first
	}
	return err
}

// prune removes the archives of an image that were not used for longest.
func (b *builder) prune(i Image) {
	paths, _ := filepath.Glob(filepath.Join(b.cache, "images", i.Name+"-"+strings.Repeat("[0-9a-f]", 16)+".tar"))
	used := func(path string) time.Time {
		info, err := os.Stat(path)
		if err != nil {
			return time.Time{}
		}
		return info.ModTime()
	}
	slices.SortFunc(paths, func(x, y string) int { return used(y).Compare(used(x)) })
	for _, path := range paths[min(keep, len(paths)):] {
		os.Remove(path)
	}
}

// place links, or copies where the two are on different file systems.
func place(from, to string) error {
	return atomically(to, func(temporary string) error {
		if os.Link(from, temporary) == nil {
			return nil
		}
		in, err := os.Open(from)
		if err != nil {
			return err
		}
		defer in.Close()
		out, err := os.Create(temporary)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, in)
		return errors.Join(err, out.Close())
	})
}
