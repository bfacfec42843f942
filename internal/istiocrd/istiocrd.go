// Package istiocrd holds the CustomResourceDefinitions of all kinds of Istio's API: clients such as Kiali list every kind and do
// not start without its definition. Objects of a kind that pilot does not enforce are refused at admission (istioconfig.Kinds).
//
// They are generated from the protobuf descriptors of istio.io/api by ./gen; the result is committed, so that a change of
// the API is seen in a diff.
package istiocrd

import (
	"embed"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/mesh-operator/mesh-operator/internal/owner"
)

//go:generate go run ./gen

//go:embed crds/*.yaml
var files embed.FS

// CRDs returns the definitions with the owner labels, ordered by name. The caller may change them.
func CRDs() ([]*unstructured.Unstructured, error) {
	entries, err := files.ReadDir("crds")
	if err != nil {
		return nil, err
	}
	var crds []*unstructured.Unstructured
	for _, entry := range entries {
		text, err := files.ReadFile("crds/" + entry.Name())
		if err != nil {
			return nil, err
		}
		crd := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(text, &crd.Object); err != nil {
			return nil, fmt.Errorf("parse %s: %w", entry.Name(), err)
		}
		crd.SetLabels(owner.Label(crd.GetLabels(), "base"))
		crds = append(crds, crd)
	}
	return crds, nil
}
