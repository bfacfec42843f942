package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// epoch is the time of every file, so that equal contents make equal images.
var epoch = time.Unix(0, 0)

// assemble makes the image's layers and configuration out of local files; source tells where an entry's file is.
func assemble(i Image, source func(Entry) string) (v1.Image, error) {
	var layers []v1.Layer
	for _, entries := range i.Layers {
		layer, err := newLayer(entries, source)
		if err != nil {
			return nil, fmt.Errorf("assemble image %s: %w", i.Name, err)
		}
		layers = append(layers, layer)
	}
	image, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.DockerManifestSchema2), layers...)
	if err != nil {
		return nil, fmt.Errorf("assemble image %s: %w", i.Name, err)
	}
	image, err = mutate.ConfigFile(image, configuration(i, image))
	if err != nil {
		return nil, fmt.Errorf("assemble image %s: %w", i.Name, err)
	}
	return image, nil
}

func configuration(i Image, image v1.Image) *v1.ConfigFile {
	file, err := image.ConfigFile()
	if err != nil { // the image was made in memory, a line above
		panic(err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Created = "linux", "amd64", v1.Time{Time: epoch}
	file.Config = v1.Config{
		Entrypoint: i.Entrypoint,
		User:       i.User,
		WorkingDir: "/",
		Env:        []string{"PATH=/usr/local/bin:/usr/bin:/bin"},
		Labels:     map[string]string{"org.opencontainers.image.title": i.Title},
	}
	for n := range file.History {
		file.History[n].Created = v1.Time{Time: epoch}
	}
	return file
}

// newLayer is not compressed: it is written once and read once on the same machine, where packing only costs time.
func newLayer(entries []Entry, source func(Entry) string) (v1.Layer, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, dir := range parents(entries) {
		header := tar.Header{Typeflag: tar.TypeDir, Name: strings.TrimPrefix(dir, "/") + "/", Mode: 0o755, ModTime: epoch}
		if err := w.WriteHeader(&header); err != nil {
			return nil, err
		}
	}
	for _, e := range entries {
		if err := add(w, e, source); err != nil {
			return nil, fmt.Errorf("add %s: %w", e.To, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return static.NewLayer(archive.Bytes(), types.DockerUncompressedLayer), nil
}

func add(w *tar.Writer, e Entry, source func(Entry) string) error {
	header := tar.Header{Name: strings.TrimPrefix(e.To, "/"), Mode: 0o777, ModTime: epoch}
	if e.Link != "" {
		header.Typeflag, header.Linkname = tar.TypeSymlink, e.Link
		return w.WriteHeader(&header)
	}
	file, err := os.Open(source(e))
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	header.Typeflag, header.Mode, header.Size = tar.TypeReg, mode(e), info.Size()
	if err := w.WriteHeader(&header); err != nil {
		return err
	}
	_, err = io.Copy(w, file)
	return err
}

// mode does not look at the file's: that depends on the umask it was unpacked with.
func mode(e Entry) int64 {
	if strings.HasPrefix(e.To, "/etc/") {
		return 0o644
	}
	return 0o755
}

// parents returns all folders that the entries are in, outermost first.
func parents(entries []Entry) []string {
	seen := map[string]bool{}
	for _, e := range entries {
		for dir := path.Dir(e.To); dir != "/"; dir = path.Dir(dir) {
			seen[dir] = true
		}
	}
	var dirs []string
	for dir := range seen {
		dirs = append(dirs, dir)
	}
	slices.Sort(dirs)
	return dirs
}
