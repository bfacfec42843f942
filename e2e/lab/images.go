package lab

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Operator is the kustomization of the operator for a local cluster: config/default with the local images of the add-ons, which
// e2e/images writes.
const Operator = ".out/images/operator"

// LoadAs loads one of the built images into the cluster under another name, as from a mirror.
func (l *Lab) LoadAs(ctx context.Context, image, reference, dir string) error {
	path := filepath.Join(dir, image+".tar")
	if err := rename(filepath.Join(l.Root, ".out", "images", image+".tar"), path, reference); err != nil {
		return fmt.Errorf("rename image %s: %w", image, err)
	}
	_, err := l.Cluster(ctx, "load", path, "--name", l.Name)
	return err
}

// rename copies an image archive under another reference.
func rename(from, to, reference string) error {
	image, err := tarball.ImageFromPath(from, nil)
	if err != nil {
		return err
	}
	tag, err := name.NewTag(reference)
	if err != nil {
		return err
	}
	return tarball.WriteToFile(to, tag, image)
}
