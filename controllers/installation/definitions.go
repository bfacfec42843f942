package installation

import (
	"context"
	"fmt"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// Whose definition is known to be served.
const (
	oursEstablished   = "ours"
	othersEstablished = "others" // or ours, and the watch has not told yet
)

// istioDefinitions makes sure that Istio's kinds are defined, and returns what there is to wait for. A definition that is
// there already is never taken over: it may belong to another product, and all users' objects hang on it. One that we made
// is kept up to date.
func (r *Reconciler) istioDefinitions(ctx context.Context) (string, error) {
	definitions, err := r.CRDs()
	if err != nil {
		return "", fmt.Errorf("load Istio's definitions: %w", err)
	}
	waiting := ""
	for _, definition := range definitions {
		established, err := r.istioDefinition(ctx, definition)
		if err != nil {
			return "", err
		}
		if !established && waiting == "" {
			waiting = "CustomResourceDefinition " + definition.GetName() + " to be established"
		}
	}
	return waiting, nil
}

func (r *Reconciler) istioDefinition(ctx context.Context, definition *unstructured.Unstructured) (bool, error) {
	name := definition.GetName()
	ours := r.Watch.Lookup(apply.RefOf(definition)) != nil
	if !ours && r.established[name] == oursEstablished {
		delete(r.established, name) // somebody deleted it
	}
	if ours {
		definition = definition.DeepCopy()
		definition.SetLabels(owner.Label(definition.GetLabels(), componentBase))
		if _, err := r.applyRecorded(ctx, definition); err != nil {
			return false, err
		}
	}
	if r.established[name] != "" {
		if ours {
			r.established[name] = oursEstablished
		}
		return true, nil
	}
	live := &apiextensionsv1.CustomResourceDefinition{}
	err := r.Client.Get(ctx, types.NamespacedName{Name: name}, live)
	if apierrors.IsNotFound(err) {
		return false, r.createDefinition(ctx, definition)
	}
	if err != nil {
		return false, fmt.Errorf("look up definition %s: %w", name, err)
	}
	for _, condition := range live.Status.Conditions {
		if live.DeletionTimestamp != nil {
			break // its objects are going, and no new ones can come
		}
		if condition.Type == apiextensionsv1.Established && condition.Status == apiextensionsv1.ConditionTrue {
			r.established[name] = othersEstablished
		}
	}
	return r.established[name] != "", nil
}

// createDefinition creates and does not apply, so that of two who define the same kind at the same time the first wins.
func (r *Reconciler) createDefinition(ctx context.Context, definition *unstructured.Unstructured) error {
	definition = definition.DeepCopy()
	definition.SetLabels(owner.Label(definition.GetLabels(), componentBase))
	if err := r.inventory.Announce(ctx, []*unstructured.Unstructured{definition}); err != nil {
		return err
	}
	ref := apply.RefOf(definition)
	r.applier.Drop(ref)
	err := r.Client.Create(ctx, definition, client.FieldOwner(apply.FieldManager))
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("create definition %s: %w", definition.GetName(), err)
	}
	change := apply.Change{Ref: ref, UID: definition.GetUID(), Action: apply.Created}
	if r.inventory.UID(ref) != "" {
		change.Action = apply.Restored
	}
	r.record(change)
	return nil
}
