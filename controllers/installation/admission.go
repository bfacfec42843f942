package installation

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

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

// policies keeps the admission policies in place while the operator leads. They belong to the definition of Installation, so
// they leave with it.
type policies struct {
	client  client.Client
	applier *apply.Applier
	log     *slog.Logger
}

// How long policies are trusted to be there, and what passes between two attempts. They are not watched, because an API server
// may not know them, which would keep everything else from being watched.
const (
	policiesInterval = time.Minute
	policiesRetry    = 10 * time.Second
)

func newPolicies(c client.Client, log *slog.Logger) *policies {
	unknown := func(apply.Ref) metav1.Object { return nil } // so that the API server is asked
	return &policies{client: c, applier: apply.New(c, unknown), log: log}
}

// Start keeps the policies in place until ctx ends. An API server without them still gets an operator that refuses the same in
// status.
func (p *policies) Start(ctx context.Context) error {
	for {
		wait := policiesInterval
		err := p.apply(ctx)
		switch {
		case meta.IsNoMatchError(err):
			p.log.Warn("Cannot apply admission policies; Kubernetes 1.30 or newer has them", "error", err)
			return nil
		case err != nil && ctx.Err() == nil:
			p.log.Error("Cannot apply admission policies, trying again", "error", err)
			wait = policiesRetry
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
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
		if _, err := p.applier.Apply(ctx, object); err != nil {
			return err
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
