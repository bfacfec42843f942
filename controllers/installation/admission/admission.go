// Package admission keeps the ValidatingAdmissionPolicies in place by which the API server itself refuses an invalid
// Installation and a wrong order of removal, without a webhook that could be away.
package admission

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/controllers/installation/kinds"
	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/version"
)

//go:embed policies.yaml
var policiesYAML []byte

// Confinement is the policy that keeps the operator's own right to bind to the mesh's namespace. config/default ships it, as
// config/rbac/confinement.yaml.
func Confinement(namespace string) []byte {
	return bytes.ReplaceAll(confinementYAML, []byte("OPERATOR_NAMESPACE"), []byte(namespace))
}

//go:embed confinement.yaml
var confinementYAML []byte

const installationDefinition = "installations.istio.openshift.com"

// Policies applies the policies while the operator leads. They are owned by the definition of Installation, so they are
// deleted with it.
type Policies struct {
	client    client.Client
	applier   *apply.Applier
	namespace string // of the operator
	reserved  []string
	log       *slog.Logger
}

// The policies are not watched, because an API server may not know the kind, which would keep all watches from starting: they
// are applied every applyInterval, and after a failure every retryInterval.
const (
	applyInterval = time.Minute
	retryInterval = 10 * time.Second
)

// NewPolicies returns the policies of the operator in this namespace, which refuse gateways with a reserved name. It starts nothing.
func NewPolicies(c client.Client, namespace string, reserved []string, log *slog.Logger) *Policies {
	unknown := func(apply.Ref) metav1.Object { return nil } // so that every Apply reads the live object
	return &Policies{client: c, applier: apply.New(c, unknown), namespace: namespace, reserved: reserved, log: log}
}

// Start applies the policies until ctx ends. On an API server without the kind, the operator reports the same in status.
func (p *Policies) Start(ctx context.Context) error {
	for {
		wait := applyInterval
		err := p.apply(ctx)
		switch {
		case meta.IsNoMatchError(err):
			p.log.Warn("Cannot apply admission policies; Kubernetes 1.30 or newer has them", "error", err)
			return nil
		case err != nil && ctx.Err() == nil:
			p.log.Error("Cannot apply admission policies, trying again", "error", err)
			wait = retryInterval
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// NeedLeaderElection is true: one replica is enough.
func (p *Policies) NeedLeaderElection() bool { return true }

func (p *Policies) apply(ctx context.Context) error {
	crd := kinds.Must(kinds.CRDGroup, "CustomResourceDefinition").GroupVersionKind
	definition, err := apply.Metadata(ctx, p.client, crd, types.NamespacedName{Name: installationDefinition})
	if err != nil {
		return fmt.Errorf("look up definition of Installation: %w", err)
	}
	if definition == nil {
		return errors.New("look up definition of Installation: not found; kubectl apply -k config/default")
	}
	if err := p.confine(ctx, definition.UID); err != nil {
		return err
	}
	objects, err := Objects(definition.UID, p.namespace, p.reserved)
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

// confine creates the policy that confines the operator where it is missing, as after an installation by OLM. The operator has
// no permission to change or delete it.
func (p *Policies) confine(ctx context.Context, definition types.UID) error {
	objects, err := parse(Confinement(p.namespace), definition)
	if err != nil {
		return err
	}
	for _, object := range objects {
		live, err := apply.Metadata(ctx, p.client, object.GroupVersionKind(), types.NamespacedName{Name: object.GetName()})
		if err != nil {
			return fmt.Errorf("look up %s: %w", apply.RefOf(object), err)
		}
		if live != nil {
			continue
		}
		if err := p.client.Create(ctx, object, client.FieldOwner(apply.FieldManager)); client.IgnoreAlreadyExists(err) != nil {
			return fmt.Errorf("create %s: %w", apply.RefOf(object), err)
		}
	}
	return nil
}

// Objects returns the policies and their bindings, owned by the definition of Installation.
func Objects(definition types.UID, namespace string, reserved []string) ([]*unstructured.Unstructured, error) {
	text := bytes.ReplaceAll(policiesYAML, []byte("OWN_VERSION"), []byte(version.Version))
	text = bytes.ReplaceAll(text, []byte("OPERATOR_NAMESPACE"), []byte(namespace))
	text = bytes.ReplaceAll(text, []byte("FOREIGN_FIELDS"), []byte(foreignFields()))
	text = bytes.ReplaceAll(text, []byte("RESERVED_NAMES"), []byte("'"+strings.Join(reserved, "', '")+"'"))
	return parse(text, definition)
}

// foreignFields is a list in CEL: of each foreign field its name, empty if it is not set, and the way out.
func foreignFields() string {
	var list []string
	for _, f := range v1alpha1.ForeignFieldTable {
		list = append(list, fmt.Sprintf("[has(object.spec.%[1]s) ? '%[1]s' : '', '%[2]s']", f.Name, f.WayOut))
	}
	return "[" + strings.Join(list, ", ") + "]"
}

func parse(text []byte, definition types.UID) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
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
			APIVersion: "apiextensions.k8s.io/v1", Kind: "CustomResourceDefinition", Name: installationDefinition, UID: definition,
		}})
		objects = append(objects, object)
	}
}
