package installation

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/version"
)

// admissionYAML holds the policies by which the API server itself refuses a wrong Installation and a wrong order of removal.
//
//go:embed admission.yaml
var admissionYAML []byte

// policies applies the admission policies when the operator starts to lead. They belong to the definition of Installation,
// so they leave with it.
type policies struct {
	client client.Client
	log    *slog.Logger
}

// Start applies the policies once. An API server without them still gets an operator that refuses the same in status.
func (p *policies) Start(ctx context.Context) error {
	if err := p.apply(ctx); err != nil {
		if meta.IsNoMatchError(err) {
			p.log.Warn("Cannot apply admission policies; Kubernetes 1.30 or newer has them", "error", err)
			return nil
		}
		return err
	}
	return nil
}

// NeedLeaderElection is true: one replica is enough.
func (p *policies) NeedLeaderElection() bool { return true }

func (p *policies) apply(ctx context.Context) error {
	definition, err := apply.Metadata(ctx, p.client, schema.GroupVersionKind{
		Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}, types.NamespacedName{Name: "installations.istio.openshift.com"})
	if err != nil {
		return fmt.Errorf("look up definition of Installation: %w", err)
	}
	if definition == nil {
		return errors.New("look up definition of Installation: not found; kubectl apply -k config/default")
	}
	objects, err := admissionObjects(definition.UID)
	if err != nil {
		return err
	}
	for _, object := range objects {
		err := p.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner(apply.FieldManager), client.ForceOwnership)
		if err != nil {
			return fmt.Errorf("apply %s: %w", apply.RefOf(object), err)
		}
	}
	return nil
}

// admissionObjects returns the policies and their bindings, owned by the definition of Installation.
func admissionObjects(definition types.UID) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	text := bytes.ReplaceAll(admissionYAML, []byte("OWN_VERSION"), []byte(version.Version))
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(&object.Object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("parse admission policies: %w", err)
		}
		object.SetLabels(map[string]string{"app.kubernetes.io/managed-by": "mesh-operator"})
		object.SetOwnerReferences([]metav1.OwnerReference{{
			APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition", Name: "installations.istio.openshift.com", UID: definition,
		}})
		objects = append(objects, object)
	}
}
