package installation

import (
	"context"
	"fmt"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
	"github.com/mesh-operator/mesh-operator/controllers/installation/watch"
	"github.com/mesh-operator/mesh-operator/controllers/installation/write"
	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// Whose definition is established.
const (
	establishedOurs    = "ours"
	establishedForeign = "foreign" // or ours, and the watch has not seen it yet
)

// definitions creates the definitions of Istio's kinds, and remembers which are established. A definition that exists is never
// taken over: it may belong to another product, and all users' objects depend on it. One that we made is kept up to date.
type definitions struct {
	client client.Client
	watch  *watch.Watch
	writer *write.Writer
	load   func() ([]*unstructured.Unstructured, error)

	established map[string]string // by name: whose it is
}

func newDefinitions(c client.Client, w *watch.Watch, writer *write.Writer, load func() ([]*unstructured.Unstructured, error)) *definitions {
	return &definitions{client: c, watch: w, writer: writer, load: load, established: map[string]string{}}
}

// invalidate forgets which definitions are established, because the API server does not know one of the kinds.
func (d *definitions) invalidate() { clear(d.established) }

// ensure returns what there is to wait for; empty: all are established.
func (d *definitions) ensure(ctx context.Context) (string, error) {
	all, err := d.load()
	if err != nil {
		return "", fmt.Errorf("load Istio's definitions: %w", err)
	}
	waiting := ""
	for _, definition := range all {
		established, err := d.ensureOne(ctx, definition)
		if err != nil {
			return "", err
		}
		if !established && waiting == "" {
			waiting = "CustomResourceDefinition " + definition.GetName() + " to be established"
		}
	}
	return waiting, nil
}

func (d *definitions) ensureOne(ctx context.Context, definition *unstructured.Unstructured) (bool, error) {
	name := definition.GetName()
	definition = definition.DeepCopy()
	definition.SetLabels(owner.Label(definition.GetLabels(), desired.ComponentBase))
	ours := d.watch.Lookup(apply.RefOf(definition)) != nil
	if !ours && d.established[name] == establishedOurs {
		delete(d.established, name) // somebody deleted it
	}
	if ours {
		if _, err := d.writer.AnnounceAndApply(ctx, definition); err != nil {
			return false, err
		}
	}
	if d.established[name] != "" {
		if ours {
			d.established[name] = establishedOurs
		}
		return true, nil
	}
	live := &apiextensionsv1.CustomResourceDefinition{}
	err := d.client.Get(ctx, types.NamespacedName{Name: name}, live)
	if apierrors.IsNotFound(err) {
		// Create, not apply: of two who define the same kind at the same time the first wins.
		return false, d.writer.Create(ctx, definition)
	}
	if err != nil {
		return false, fmt.Errorf("look up definition %s: %w", name, err)
	}
	if isEstablished(live) {
		d.established[name] = establishedForeign
	}
	return d.established[name] != "", nil
}

// isEstablished reports a definition that is served and not being deleted, which would delete its objects and refuse new ones.
func isEstablished(definition *apiextensionsv1.CustomResourceDefinition) bool {
	if definition.DeletionTimestamp != nil {
		return false
	}
	for _, condition := range definition.Status.Conditions {
		if condition.Type == apiextensionsv1.Established && condition.Status == apiextensionsv1.ConditionTrue {
			return true
		}
	}
	return false
}
