package artifacts

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// kubernetesVersion is also in kube/go.mod; a test compares the two.
const kubernetesVersion = "v1.36.3"

// PauseImage is the sandbox image's name.
const PauseImage = "localhost/pause:1"

// buildEnvironment makes builds the same on hosts with and without a C compiler, inside and outside a Go workspace.
var buildEnvironment = []string{"CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-mod=readonly -buildvcs=false"}

// goProgram builds one of the sub-modules.
func (s *Store) goProgram(folder, name, duration, ldflags string) (step, error) {
	source := filepath.Join(s.Source, folder)
	inputs := []string{runtime.Version(), ldflags}
	for _, file := range []string{"go.mod", "go.sum", "main.go"} {
		content, err := os.ReadFile(filepath.Join(source, file))
		if err != nil {
			return step{}, fmt.Errorf("read source of %s: %w", folder, err)
		}
		inputs = append(inputs, string(content))
	}
	return step{
		name: name,
		how:  "modules from the Go proxy, compiled here (" + duration + ")",
		path: filepath.Join(s.Cache, folder, key(inputs...), folder),
		make: func(ctx context.Context, dir string) error {
			if err := s.modules(ctx, source); err != nil {
				return err
			}
			return build(ctx, source, ldflags, filepath.Join(dir, folder))
		},
	}, nil
}

// modules gets all that a build will need, as Go does not ask again for a module that did not come.
func (s *Store) modules(ctx context.Context, source string) error {
	for again := 2; ; again-- {
		err := run(ctx, source, buildEnvironment, "go", "list", "-deps", ".")
		if err == nil || again == 0 {
			return err
		}
		fmt.Fprintf(s.Out, "  trying again in ten seconds: %v\n", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(10 * time.Second):
		}
	}
}

func build(ctx context.Context, source, ldflags, output string) error {
	return run(ctx, source, buildEnvironment, "go", "build", "-trimpath", "-ldflags", "-s -w "+ldflags, "-o", output, ".")
}

// pauseImage packs the program in pause/ into an image archive.
func (s *Store) pauseImage() (step, error) {
	source := filepath.Join(s.Source, "pause")
	content, err := os.ReadFile(filepath.Join(source, "main.go"))
	if err != nil {
		return step{}, fmt.Errorf("read source of pause: %w", err)
	}
	return step{
		name: "pause image",
		how:  "compiled here",
		path: filepath.Join(s.Cache, "pause", key(runtime.Version(), PauseImage, string(content)), "pause.tar"),
		make: func(ctx context.Context, dir string) error {
			binary := filepath.Join(dir, "pause")
			if err := build(ctx, source, "", binary); err != nil {
				return err
			}
			defer os.Remove(binary)
			return PackImage(binary, PauseImage, filepath.Join(dir, "pause.tar"))
		},
	}, nil
}

// PackImage writes an image archive whose only content and entry point is one static binary.
func PackImage(binary, reference, archive string) error {
	entry := "/" + filepath.Base(binary)
	layer, err := layerOf(binary, entry)
	if err != nil {
		return fmt.Errorf("pack %s: %w", binary, err)
	}
	image, err := imageOf(layer, entry)
	if err != nil {
		return fmt.Errorf("assemble image: %w", err)
	}
	tag, err := name.NewTag(reference)
	if err != nil {
		return err
	}
	return tarball.WriteToFile(archive, tag, image)
}

// layerOf is a file system with one file.
func layerOf(binary, entry string) ([]byte, error) {
	content, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	var layer bytes.Buffer
	writer := tar.NewWriter(&layer)
	if err := writer.WriteHeader(&tar.Header{Name: entry[1:], Mode: 0o755, Size: int64(len(content))}); err != nil {
		return nil, err
	}
	if _, err := writer.Write(content); err != nil {
		return nil, err
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return layer.Bytes(), nil
}

func imageOf(layer []byte, entrypoint string) (v1.Image, error) {
	opened, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer)), nil })
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, opened)
	if err != nil {
		return nil, err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = runtime.GOOS, runtime.GOARCH
	file.Config = v1.Config{Entrypoint: []string{entrypoint}, User: "65535:65535"}
	return mutate.ConfigFile(image, file)
}
