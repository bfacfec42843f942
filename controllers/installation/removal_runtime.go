package installation

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// runtimeObjects deletes what citadel wrote while it ran, and Istio's definitions.
func (m *removal) runtimeObjects(ctx context.Context) ([]v1alpha1.Blocker, error) {
	if err := m.bundles(ctx); err != nil {
		return nil, err
	}
	var err error
	if m.sidecarPods, err = m.sidecars(ctx); err != nil {
		return nil, err
	}
	if m.ownsContent() {
		if err := m.root(ctx); err != nil {
			return nil, err
		}
	}
	return m.definitions(ctx)
}

// root deletes the root's key, unless pods still run on its certificates: a mesh that is installed again has to be able to go
// on with them. Then the Secret stays as an object of nobody, and an Event says what to do about it.
func (m *removal) root(ctx context.Context) error {
	live, err := apply.Metadata(ctx, m.r.Client, kindSecret, types.NamespacedName{Namespace: owner.MeshNamespace, Name: rootSecret})
	if err != nil {
		return fmt.Errorf("look up Secret %s: %w", rootSecret, err)
	}
	if live == nil || !ours(live) {
		return nil
	}
	deletes := m.in.Spec.Uninstall != nil && m.in.Spec.Uninstall.RootCA == "Delete"
	if deletes || len(m.sidecarPods) == 0 {
		return m.delete(ctx, kindSecret, live)
	}
	m.rootKept = true
	return m.release(ctx, kindSecret, live)
}

// bundles deletes the roots of trust from all namespaces.
func (m *removal) bundles(ctx context.Context) error {
	items, err := m.list(ctx, "", kindConfigMap, client.MatchingFields{"metadata.name": rootsConfigMap})
	if err != nil {
		return err
	}
	for i := range items {
		if !owner.Owned(items[i].Labels) {
			continue
		}
		if err := m.delete(ctx, kindConfigMap, &items[i]); err != nil {
			return err
		}
	}
	return nil
}

// definitions deletes the definitions that we made and nobody uses; on request those in use too, and waits until the objects
// have gone with them.
func (m *removal) definitions(ctx context.Context) ([]v1alpha1.Blocker, error) {
	definitions, err := m.r.CRDs()
	if err != nil {
		return nil, fmt.Errorf("load Istio's definitions: %w", err)
	}
	force := m.in.Spec.Uninstall != nil && m.in.Spec.Uninstall.IstioCRDs == "Delete"
	var blockers []v1alpha1.Blocker
	for _, definition := range definitions {
		live, err := apply.Metadata(ctx, m.r.Client, definition.GroupVersionKind(), types.NamespacedName{Name: definition.GetName()})
		if err != nil {
			return nil, fmt.Errorf("look up definition %s: %w", definition.GetName(), err)
		}
		if live == nil || !owner.Owned(live.Labels) {
			continue
		}
		used, err := m.used(ctx, definition)
		if err != nil {
			return nil, err
		}
		if used && !force {
			m.kept = append(m.kept, Event{corev1.EventTypeNormal, "Kept",
				"CustomResourceDefinition " + live.Name + " stays, because there are objects of it"})
			continue
		}
		if err := m.delete(ctx, definition.GroupVersionKind(), live); err != nil {
			return nil, err
		}
		if used {
			blockers = append(blockers, v1alpha1.Blocker{Kind: "CustomResourceDefinition", Name: live.Name, Reason: "it is being deleted with its objects"})
		}
	}
	return blockers, nil
}

// used reports whether there is an object of the kind that definition defines.
func (m *removal) used(ctx context.Context, definition *unstructured.Unstructured) (bool, error) {
	group, _, _ := unstructured.NestedString(definition.Object, "spec", "group")
	kind, _, _ := unstructured.NestedString(definition.Object, "spec", "names", "kind")
	items, err := m.list(ctx, "", schema.GroupVersionKind{Group: group, Version: "v1", Kind: kind}, client.Limit(1))
	return len(items) > 0, err
}
