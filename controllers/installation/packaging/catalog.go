package packaging

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io/fs"
	"path"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"sigs.k8s.io/yaml"

	"github.com/mesh-operator/mesh-operator/internal/version"
)

// Catalog returns a file-based catalog with this version's bundle, and how to build its image. With a registry, the bundle's image
// is there.
func Catalog(repository fs.FS, registry string) (map[string][]byte, error) {
	text, err := fs.ReadFile(repository, "bundle/manifests/"+packageName+".clusterserviceversion.yaml")
	if err != nil {
		return nil, fmt.Errorf("read bundle: %w", err)
	}
	var csv v1alpha1.ClusterServiceVersion
	if err := yaml.Unmarshal(text, &csv); err != nil {
		return nil, fmt.Errorf("parse ClusterServiceVersion: %w", err)
	}
	image := BundleImage
	if registry != "" {
		image = InRegistry(registry, BundleImage)
	}
	icon, err := base64.StdEncoding.DecodeString(csv.Spec.Icon[0].Data)
	if err != nil {
		return nil, fmt.Errorf("decode icon: %w", err)
	}
	var out bytes.Buffer
	for _, blob := range []map[string]any{
		{"schema": "olm.package", "name": packageName, "defaultChannel": channel, "description": csv.Spec.Description,
			"icon": map[string]any{"base64data": icon, "mediatype": csv.Spec.Icon[0].MediaType}},
		{"schema": "olm.channel", "package": packageName, "name": channel, "entries": []any{map[string]any{"name": csv.Name}}},
		bundleBlob(&csv, image),
	} {
		text, err := yaml.Marshal(blob)
		if err != nil {
			return nil, fmt.Errorf("marshal catalog: %w", err)
		}
		out.WriteString("---\n")
		out.Write(text)
	}
	return map[string][]byte{path.Join("catalog", packageName, "catalog.yaml"): out.Bytes(), "catalog.Dockerfile": catalogDockerfile}, nil
}

// bundleBlob is the entry of one bundle. olm.csv.metadata is what a console shows before anything is installed.
func bundleBlob(csv *v1alpha1.ClusterServiceVersion, image string) map[string]any {
	related := []any{map[string]any{"name": "bundle", "image": image}}
	for _, r := range csv.Spec.RelatedImages {
		related = append(related, map[string]any{"name": r.Name, "image": r.Image})
	}
	properties := []any{map[string]any{"type": "olm.package", "value": map[string]any{"packageName": packageName, "version": version.Version}}}
	for _, crd := range csv.Spec.CustomResourceDefinitions.Owned {
		_, group, _ := bytes.Cut([]byte(crd.Name), []byte("."))
		properties = append(properties, map[string]any{"type": "olm.gvk",
			"value": map[string]any{"group": string(group), "kind": crd.Kind, "version": crd.Version}})
	}
	properties = append(properties, map[string]any{"type": "olm.csv.metadata", "value": map[string]any{
		"annotations": csv.Annotations, "labels": csv.Labels, "displayName": csv.Spec.DisplayName, "description": csv.Spec.Description,
		"customResourceDefinitions": csv.Spec.CustomResourceDefinitions, "apiServiceDefinitions": map[string]any{},
		"installModes": csv.Spec.InstallModes, "keywords": csv.Spec.Keywords, "links": csv.Spec.Links, "maintainers": csv.Spec.Maintainers,
		"maturity": csv.Spec.Maturity, "minKubeVersion": csv.Spec.MinKubeVersion, "provider": csv.Spec.Provider,
	}})
	return map[string]any{"schema": "olm.bundle", "package": packageName, "name": csv.Name, "image": image, "properties": properties, "relatedImages": related}
}

// catalogDockerfile is as opm generate dockerfile writes it: OLM v1 reads the files, OLM v0 asks the server.
var catalogDockerfile = []byte(`FROM quay.io/operator-framework/opm:v1.73.0
ENTRYPOINT ["/bin/opm"]
CMD ["serve", "/configs", "--cache-dir=/tmp/cache"]
ADD catalog /configs
RUN ["/bin/opm", "serve", "/configs", "--cache-dir=/tmp/cache", "--cache-only"]
LABEL operators.operatorframework.io.index.configs.v1=/configs
`)
