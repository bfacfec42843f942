package removal

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/controllers/installation/kinds"
	"github.com/mesh-operator/mesh-operator/controllers/installation/report"
	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/names"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// runtimeObjects deletes what citadel wrote while it ran, volumes, and Istio's definitions.
func (m *removal) runtimeObjects(ctx context.Context) ([]v1alpha1.Blocker, error) {
	if err := m.bundles(ctx); err != nil {
		return nil, err
	}
	var err error
	if m.sidecarPods, err = m.listSidecars(ctx); err != nil {
		return nil, err
	}
	if m.managesNamespace() {
		if err := m.root(ctx); err != nil {
			return nil, err
		}
		if err := m.data(ctx); err != nil {
			return nil, err
		}
	}
	return m.definitions(ctx)
}

// uninstall returns spec.uninstall, which may be absent.
func (m *removal) uninstall() v1alpha1.UninstallSpec {
	if m.in.Spec.Uninstall == nil {
		return v1alpha1.UninstallSpec{}
	}
	return *m.in.Spec.Uninstall
}

// root deletes the root's key, unless pods still run with its certificates: a mesh that is installed again has to be able to
// continue with them. Then the Secret stays, and an Event says what to do about it.
func (m *removal) root(ctx context.Context) error {
	live, err := apply.Metadata(ctx, m.Client, kindSecret, types.NamespacedName{Namespace: owner.MeshNamespace, Name: names.RootSecret})
	if err != nil {
		return fmt.Errorf("look up Secret %s: %w", names.RootSecret, err)
	}
	if live == nil || !ours(live) {
		return nil
	}
	if m.uninstall().RootCA == "Delete" || len(m.sidecarPods) == 0 {
		return m.delete(ctx, kindSecret, live)
	}
	m.rootKept = true
	return m.release(ctx, kindSecret, live)
}

// data deletes the volume claims of components if spec.uninstall.data says so. Otherwise they stay, and so does the namespace.
func (m *removal) data(ctx context.Context) error {
	for _, row := range kinds.RemovedIn(kinds.WithData) {
		items, err := m.list(ctx, owner.MeshNamespace, row.GroupVersionKind)
		if err != nil {
			return err
		}
		for i := range items {
			if !ours(&items[i]) {
				continue
			}
			if m.uninstall().Data == "Delete" {
				err = m.delete(ctx, row.GroupVersionKind, &items[i])
			} else {
				m.dataKept = true
				m.kept = append(m.kept, report.Event{Type: corev1.EventTypeNormal, Reason: "Kept", Message: row.Kind + " " + items[i].Name +
					" stays in namespace " + owner.MeshNamespace + " with its data, because spec.uninstall.data is not Delete; a new Installation uses it again"})
				err = m.release(ctx, row.GroupVersionKind, &items[i])
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// bundles deletes the roots of trust from all namespaces.
func (m *removal) bundles(ctx context.Context) error {
	items, err := m.list(ctx, "", kindConfigMap, client.MatchingFields{"metadata.name": names.RootsConfigMap})
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

// definitions deletes the definitions of Istio's kinds that we made and that have no objects. With spec.uninstall.istioCRDs
// Delete it deletes those with objects too, and waits until the objects are gone.
func (m *removal) definitions(ctx context.Context) ([]v1alpha1.Blocker, error) {
	definitions, err := m.CRDs()
	if err != nil {
		return nil, fmt.Errorf("load Istio's definitions: %w", err)
	}
	var blockers []v1alpha1.Blocker
	for _, definition := range definitions {
		live, err := apply.Metadata(ctx, m.Client, definition.GroupVersionKind(), types.NamespacedName{Name: definition.GetName()})
		if err != nil {
			return nil, fmt.Errorf("look up definition %s: %w", definition.GetName(), err)
		}
		if live == nil || !owner.Owned(live.Labels) {
			continue
		}
		used, err := m.list(ctx, "", kinds.DefinedBy(definition).GroupVersionKind, client.Limit(1))
		if err != nil {
			return nil, err
		}
		if len(used) > 0 && m.uninstall().IstioCRDs != "Delete" {
			m.kept = append(m.kept, report.Event{Type: corev1.EventTypeNormal, Reason: "Kept",
				Message: "CustomResourceDefinition " + live.Name + " stays, because there are objects of it"})
			continue
		}
		if err := m.delete(ctx, definition.GroupVersionKind(), live); err != nil {
			return nil, err
		}
		if len(used) > 0 {
			blockers = append(blockers, v1alpha1.Blocker{Kind: "CustomResourceDefinition", Name: live.Name, Reason: "it is being deleted with its objects"})
		}
	}
	return blockers, nil
}
