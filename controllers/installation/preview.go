package installation

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
	"github.com/mesh-operator/mesh-operator/controllers/installation/preview"
	"github.com/mesh-operator/mesh-operator/controllers/installation/removal"
	"github.com/mesh-operator/mesh-operator/controllers/installation/write"
	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/istiocrd"
	"github.com/mesh-operator/mesh-operator/internal/names"
	"github.com/mesh-operator/mesh-operator/internal/owner"
	"github.com/mesh-operator/mesh-operator/internal/trust"
)

// Preview says what an operator with these images and components, in the namespace of the Installation, does for it. It renders the objects as the operator does and asks the
// API server what an apply would make of them, as a dry run: nothing is written.
func Preview(ctx context.Context, c client.Client, images desired.ImageDefaults, catalog desired.Catalog, in *v1alpha1.Installation) (preview.Result, error) {
	if invalid := desired.Invalid(&in.Spec, catalog); invalid != "" {
		return preview.Result{}, errors.New(invalid)
	}
	operator := cmp.Or(in.Namespace, owner.OperatorNamespace)
	p := &previewer{client: c, writer: write.New(c, nil, operator)}
	if err := p.writer.Inventory.Load(ctx); err != nil {
		return p.result, err
	}
	namespace, err := removal.Namespace(ctx, c)
	if err != nil {
		return p.result, err
	}
	observed := desired.Facts{}
	if namespace != nil {
		p.namespaceExists, observed.NamespaceUID = true, namespace.UID
	}
	if observed.Roots, err = p.roots(ctx); err != nil {
		return p.result, err
	}
	chosen, _ := desired.ChooseImages(&in.Spec, images)
	plan, err := desired.Build(desired.Input{Spec: &in.Spec, Images: chosen, Facts: observed, Catalog: catalog, OperatorNamespace: operator})
	if err != nil {
		return p.result, err
	}
	err = p.run(ctx, plan)
	return p.result, err
}

// previewer collects the result.
type previewer struct {
	client          client.Client
	writer          *write.Writer // only its inventory is used
	namespaceExists bool
	result          preview.Result
}

func (p *previewer) run(ctx context.Context, plan desired.Plan) error {
	if err := p.definitions(ctx); err != nil {
		return err
	}
	objects := append([]*unstructured.Unstructured{write.NamespaceObject(), p.writer.AccessObject()}, plan.Objects()...)
	for _, object := range withAccountUIDs(objects, p.writer.Inventory.UID) {
		if err := p.object(ctx, object); err != nil {
			return err
		}
	}
	wanted := plan.Refs()
	for _, webhook := range webhookNames(plan) {
		if ref := apply.RefOf(webhook); !wanted[ref] {
			wanted[ref] = true
			p.add(preview.Create, ref, "") // when the roots of trust are known
		}
	}
	return p.obsolete(ctx, wanted)
}

func (p *previewer) add(action preview.Action, ref apply.Ref, reason string) {
	p.result.Objects = append(p.result.Objects, preview.Of(action, ref, reason))
}

// roots are the published roots of trust as PEM, empty before citadel has written them.
func (p *previewer) roots(ctx context.Context) ([]byte, error) {
	object := &corev1.ConfigMap{}
	err := p.client.Get(ctx, types.NamespacedName{Namespace: owner.MeshNamespace, Name: names.RootsConfigMap}, object)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read roots of trust: %w", err)
	}
	bundle, err := trust.Parse([]byte(object.Data[names.RootsKey]))
	if err != nil {
		return nil, fmt.Errorf("read roots of trust: ConfigMap %s: %w", names.RootsConfigMap, err)
	}
	return bundle.PEM(), nil
}

// definitions adds those of Istio's kinds that do not exist. The operator leaves the others as they are, or has made them itself.
func (p *previewer) definitions(ctx context.Context) error {
	all, err := istiocrd.CRDs()
	if err != nil {
		return fmt.Errorf("load Istio's definitions: %w", err)
	}
	for _, definition := range all {
		live, err := apply.Metadata(ctx, p.client, definition.GroupVersionKind(), client.ObjectKeyFromObject(definition))
		if err != nil {
			return fmt.Errorf("look up %s: %w", apply.RefOf(definition), err)
		}
		if live == nil {
			p.add(preview.Create, apply.RefOf(definition), "")
		} else {
			p.result.Unchanged++
		}
	}
	return nil
}

func (p *previewer) object(ctx context.Context, object *unstructured.Unstructured) error {
	ref := apply.RefOf(object)
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(object.GroupVersionKind())
	err := p.client.Get(ctx, client.ObjectKeyFromObject(object), live)
	exists := err == nil
	if err != nil && !apierrors.IsNotFound(err) && !meta.IsNoMatchError(err) {
		return fmt.Errorf("look up %s: %w", ref, err)
	}
	if exists && !owner.Owned(live.GetLabels()) && !owner.Kept(live) && live.GetUID() != p.writer.Inventory.UID(ref) {
		if ref.Kind == "Namespace" { // one that was there before is used as it is
			p.result.Unchanged++
			return nil
		}
		p.add(preview.Conflict, ref, "exists and is not managed by this operator; remove or rename it")
		return nil
	}
	if !exists && (meta.IsNoMatchError(err) || object.GetNamespace() == owner.MeshNamespace && !p.namespaceExists) {
		p.add(preview.Create, ref, "") // the API server cannot answer yet
		return nil
	}
	return p.dryRun(ctx, object, live, exists)
}

func (p *previewer) dryRun(ctx context.Context, object, live *unstructured.Unstructured, exists bool) error {
	ref, applied := apply.RefOf(object), object.DeepCopy()
	err := p.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(applied), client.FieldOwner(apply.FieldManager), client.ForceOwnership, client.DryRunAll)
	switch {
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsForbidden(err) && exists:
		p.add(preview.Refused, ref, withInstallationField(object, err).Error())
	case apierrors.IsInternalError(err): // so the API server says of a webhook that it cannot call
		p.add(preview.Unknown, ref, err.Error())
	case err != nil:
		return fmt.Errorf("apply %s as a dry run: %w", ref, err)
	case !exists:
		p.add(preview.Create, ref, "")
	default:
		if change, ok := preview.Changed(live, applied); ok {
			p.result.Objects = append(p.result.Objects, change)
		} else {
			p.result.Unchanged++
		}
	}
	return nil
}

// obsolete adds what the operator deletes, and what it leaves because it holds data.
func (p *previewer) obsolete(ctx context.Context, wanted map[apply.Ref]bool) error {
	remove, data := p.writer.Obsolete(wanted)
	for _, entry := range remove {
		if err := p.obsoleteEntry(ctx, preview.Remove, entry, ""); err != nil {
			return err
		}
	}
	for _, entry := range data {
		if err := p.obsoleteEntry(ctx, preview.Keep, entry, "holds data; spec.uninstall.data decides about it when the mesh is removed"); err != nil {
			return err
		}
	}
	return nil
}

// obsoleteEntry adds an entry whose object is still the one that was applied.
func (p *previewer) obsoleteEntry(ctx context.Context, action preview.Action, entry apply.Entry, reason string) error {
	live, err := apply.Metadata(ctx, p.client, entry.GVK(), types.NamespacedName{Namespace: entry.Namespace, Name: entry.Name})
	if err != nil && !meta.IsNoMatchError(err) {
		return fmt.Errorf("look up %s: %w", entry.Ref(), err)
	}
	if live != nil && (entry.UID == "" || live.UID == entry.UID) && owner.Owned(live.Labels) {
		p.add(action, entry.Ref(), reason)
	}
	return nil
}
