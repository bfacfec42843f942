package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/spf13/cobra"
)

func newPushCommand() *cobra.Command {
	var registry, out string
	cmd := &cobra.Command{
		Use:   "push [NAME...]",
		Short: "Build the images and push them to a registry, with the credentials of docker login or podman login",
		RunE: func(cmd *cobra.Command, args []string) error {
			if registry == "" {
				return fmt.Errorf("push images: no registry (--registry registry.example.com/mesh)")
			}
			wanted, err := choose(args)
			if err != nil {
				return err
			}
			b, err := newBuilder(cmd)
			if err != nil {
				return err
			}
			if err := b.build(cmd.Context(), wanted, out); err != nil {
				return err
			}
			for _, i := range wanted {
				if err := b.push(cmd.Context(), filepath.Join(out, i.Name+".tar"), inRegistry(registry, i.Reference())); err != nil {
					return err
				}
			}
			return writeMirror(b.root, filepath.Join(out, "mirror"), registry)
		},
	}
	cmd.Flags().StringVar(&registry, "registry", "", "registry and folder, such as registry.example.com/mesh")
	cmd.Flags().StringVar(&out, "out", ".out/images", "folder for NAME.tar")
	return cmd
}

// inRegistry is an image's last name and tag in a registry that holds all images in one folder.
func inRegistry(registry, reference string) string {
	return strings.TrimSuffix(registry, "/") + "/" + reference[strings.LastIndex(reference, "/")+1:]
}

// push copies an archive to a registry. Layers that the registry has are not sent.
func (b *builder) push(ctx context.Context, archive, reference string) error {
	started := time.Now()
	to, err := name.NewTag(reference)
	if err != nil {
		return fmt.Errorf("push to %s: %w", reference, err)
	}
	image, err := tarball.ImageFromPath(archive, nil)
	if err != nil {
		return fmt.Errorf("read %s: %w", archive, err)
	}
	if image, err = compressed(image); err != nil {
		return fmt.Errorf("compress %s: %w", archive, err)
	}
	if err := remote.Write(to, image, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
		return fmt.Errorf("push %s: %w", reference, err)
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "%-14s %8s %7s  pushed, %s@%s\n", strings.TrimSuffix(filepath.Base(archive), ".tar"), "", seconds(started), reference, digest)
	return nil
}

// compressed returns the image with layers as registries expect them; the archives' are not compressed.
func compressed(image v1.Image) (v1.Image, error) {
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	plain, err := image.Layers()
	if err != nil {
		return nil, err
	}
	var layers []v1.Layer
	for _, l := range plain {
		layer, err := tarball.LayerFromOpener(l.Uncompressed, tarball.WithCompressedCaching)
		if err != nil {
			return nil, err
		}
		layers = append(layers, layer)
	}
	out, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.DockerManifestSchema2), layers...)
	if err != nil {
		return nil, err
	}
	return mutate.ConfigFile(out, config)
}

// writeMirror writes a kustomization: config/default with the images of a registry that push filled.
func writeMirror(root, dir, registry string) error {
	variables := []string{
		fmt.Sprintf("{name: RELATED_IMAGE_MESH_OPERATOR, value: %q}", inRegistry(registry, productReference("mesh-operator"))),
		fmt.Sprintf("{name: RELATED_IMAGE_PROXYV2, value: %q}", inRegistry(registry, productReference("proxyv2"))),
	}
	for _, a := range addons {
		variables = append(variables, fmt.Sprintf("{name: %s, value: %q}", a.Variable, inRegistry(registry, a.Name+":"+a.Version)))
	}
	container := fmt.Sprintf("name: istio-operator, image: %q", inRegistry(registry, productReference("mesh-operator")))
	return writeKustomization(root, dir, "# Written by go run ./e2e/images push: the operator with the images that were pushed.\n", container, variables)
}

func productReference(name string) string { return Image{Name: name}.Reference() }

// writeKustomization writes config/default with a change of the operator's container.
func writeKustomization(root, dir, comment, container string, variables []string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	config, err := filepath.Rel(dir, filepath.Join(root, "config/default")) // kustomize takes no absolute path
	if err != nil {
		return err
	}
	text := fmt.Sprintf(`%sresources: [%s]
patches:
- patch: |
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: istio-operator, namespace: istio-operator}
    spec: {template: {spec: {containers: [{%s, env: [%s]}]}}}
`, comment, config, container, strings.Join(variables, ", "))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return atomically(filepath.Join(dir, "kustomization.yaml"), func(temporary string) error {
		return os.WriteFile(temporary, []byte(text), 0o644)
	})
}
