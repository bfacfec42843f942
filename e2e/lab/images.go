package lab

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// LoadAs loads one of the images that were built into the cluster once more, under another name, as a mirror would have it.
func (l *Lab) LoadAs(ctx context.Context, image, reference, dir string) error {
	path := filepath.Join(dir, image+".tar")
	if err := rename(filepath.Join(l.Root, ".out", "images", image+".tar"), path, reference); err != nil {
		return fmt.Errorf("rename image %s: %w", image, err)
	}
	_, err := l.Cluster(ctx, "load", path, "--name", l.Name)
	return err
}

// rename copies an image archive, as docker save writes it, under another reference.
func rename(from, to, reference string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	reader, writer := tar.NewReader(in), tar.NewWriter(out)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return errors.Join(writer.Close(), out.Close())
		}
		if err == nil {
			err = copyEntry(writer, header, reader, reference)
		}
		if err != nil {
			return errors.Join(err, out.Close())
		}
	}
}

func copyEntry(to *tar.Writer, header *tar.Header, content io.Reader, reference string) error {
	if header.Name == "manifest.json" {
		text, err := renamed(content, reference)
		if err != nil {
			return err
		}
		header.Size, content = int64(len(text)), strings.NewReader(text)
	}
	if err := to.WriteHeader(header); err != nil {
		return err
	}
	_, err := io.Copy(to, content)
	return err
}

// renamed is a manifest with its one image under another reference.
func renamed(manifest io.Reader, reference string) (string, error) {
	var images []map[string]any
	if err := json.NewDecoder(manifest).Decode(&images); err != nil {
		return "", fmt.Errorf("parse manifest.json: %w", err)
	}
	if len(images) != 1 {
		return "", fmt.Errorf("manifest.json has %d images, not one", len(images))
	}
	images[0]["RepoTags"] = []string{reference}
	text, err := json.Marshal(images)
	return string(text), err
}
