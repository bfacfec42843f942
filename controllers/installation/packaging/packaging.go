// Package packaging writes what users install the operator from: one file for kubectl, a bundle and a catalog for OLM, and what
// OpenShift needs beside config/default. All of it is computed from config, the definition of Installation, the samples and the
// tables of images and charts, so that a new row is in all of them after make generate.
package packaging

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
)

// Default is the kustomization of the operator on Kubernetes.
const Default = "config/default"

// OpenShift is the kustomization of the operator on OpenShift.
const OpenShift = "config/openshift"

// document is one object of a file, with the text and comments it was read from.
type document struct {
	text   []byte
	object *unstructured.Unstructured
}

// documents returns the objects of a kustomization. It understands resources and nothing else, and refuses what it does not
// understand.
func documents(repository fs.FS, dir string) ([]document, error) {
	text, err := fs.ReadFile(repository, path.Join(dir, "kustomization.yaml"))
	if err != nil {
		return nil, fmt.Errorf("read kustomization: %w", err)
	}
	var kustomization struct {
		APIVersion string   `json:"apiVersion"`
		Kind       string   `json:"kind"`
		Resources  []string `json:"resources"`
	}
	if err := sigsyaml.UnmarshalStrict(text, &kustomization); err != nil {
		return nil, fmt.Errorf("parse %s/kustomization.yaml: %w", dir, err)
	}
	var all []document
	for _, resource := range kustomization.Resources {
		at := path.Join(dir, resource)
		read := readDocuments
		if info, err := fs.Stat(repository, at); err == nil && info.IsDir() {
			read = documents
		}
		found, err := read(repository, at)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func readDocuments(repository fs.FS, file string) ([]document, error) {
	text, err := fs.ReadFile(repository, file)
	if err != nil {
		return nil, fmt.Errorf("read resource: %w", err)
	}
	return parseDocuments(file, text)
}

func parseDocuments(file string, text []byte) ([]document, error) {
	var all []document
	for _, part := range bytes.Split(append([]byte("\n"), text...), []byte("\n---\n")) {
		object := &unstructured.Unstructured{}
		err := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(part), 4096).Decode(&object.Object)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("parse %s: %w", file, err)
		}
		if len(object.Object) > 0 {
			all = append(all, document{bytes.TrimPrefix(bytes.TrimSpace(part), []byte("---\n")), object})
		}
	}
	return all, nil
}

// applyOrder is the order of kinds in which every object finds what it needs; the operator itself starts last.
var applyOrder = []string{
	"Namespace", "CustomResourceDefinition", "SecurityContextConstraints", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
	"ServiceAccount", "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding", "Deployment",
}

// sortDocuments fails for a kind that has no place in the order.
func sortDocuments(all []document) error {
	for _, d := range all {
		if !slices.Contains(applyOrder, d.object.GetKind()) {
			return fmt.Errorf("order kind %s: add it to applyOrder", d.object.GetKind())
		}
	}
	slices.SortStableFunc(all, func(a, b document) int {
		return cmp.Compare(slices.Index(applyOrder, a.object.GetKind()), slices.Index(applyOrder, b.object.GetKind()))
	})
	return nil
}

// Install returns a kustomization as one file. With a registry, every image is taken from there by its last name and tag.
func Install(repository fs.FS, dir, registry string) ([]byte, error) {
	all, err := documents(repository, dir)
	if err != nil {
		return nil, err
	}
	if err := sortDocuments(all); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	out.WriteString("# The operator, made from " + dir + " by make install.yaml: kubectl apply --server-side -f install.yaml\n")
	for _, d := range all {
		out.WriteString("---\n")
		out.Write(d.text)
		out.WriteString("\n")
	}
	if registry == "" {
		return out.Bytes(), nil
	}
	return mirrored(out.Bytes(), registry), nil
}

// mirrored replaces the built-in images by those of a registry.
func mirrored(text []byte, registry string) []byte {
	for _, image := range desired.BuiltIn() {
		text = bytes.ReplaceAll(text, []byte(image.Reference+"\n"), []byte(InRegistry(registry, image.Reference)+"\n"))
	}
	return text
}

// InRegistry is an image's last name and tag in a registry that holds all images in one folder, as spec.images.registry takes them.
func InRegistry(registry, reference string) string {
	return strings.TrimSuffix(registry, "/") + "/" + reference[strings.LastIndex(reference, "/")+1:]
}
