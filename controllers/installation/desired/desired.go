// Package desired computes what has to be in the cluster for an Installation: which components, from which images, as which
// objects, in which order. It reads nothing but its input and writes nothing.
//
//	components.go  the table of components
//	images.go      which images spec means; addon_images.go: those of other projects
//	values.go      spec -> values of the charts; gateways.go: those of gateways, prometheus.go: of Prometheus, and so on
//	profile.go     what a profile sets
//	spec.go        what spec asks for in vain, and what of it is invalid
//	desired.go     values -> charts -> objects, in stages
package desired

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/charts"
	"github.com/mesh-operator/mesh-operator/controllers/installation/kinds"
	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/helm"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// Facts are what the cluster says that the desired objects depend on.
type Facts struct {
	// NamespaceUID is the UID of the mesh's namespace; objects outside of it refer to it as their owner.
	NamespaceUID types.UID
	// Roots are the roots of trust as PEM; empty until citadel has written them.
	Roots []byte
}

// Input is everything that Build depends on.
type Input struct {
	Spec    *v1alpha1.InstallationSpec
	Images  Images
	Facts   Facts
	Catalog Catalog
	// OperatorNamespace is the namespace of the operator and the Installation; empty: owner.OperatorNamespace.
	OperatorNamespace string
}

// Plan is what has to be in the cluster, in the order in which it is applied.
type Plan struct {
	Stages     []Stage
	Components []Component
	// SidecarVersion is the version of the sidecar that pods get when they are created now.
	SidecarVersion string
}

// Stage is applied as a whole before the next one.
type Stage struct {
	Name    string
	Objects []*unstructured.Unstructured
	// WaitReady says that the next stage waits until every workload of this one is ready.
	WaitReady bool
	// NeedsRoots says that the stage waits until the roots of trust are published.
	NeedsRoots bool
}

// Component is one line of status.components.
type Component struct {
	Name         string // in status and in the component label
	Workload     string // name of the object that runs its pods
	Kind         string // of the workload
	Image        string
	SidecarImage string // the image it adds to pods of users; empty: none
	Enabled      bool
	Endpoints    bool   // users reach it through the Service named like its workload
	Webhook      string // kind of the webhook configuration named like its workload; empty: none
	Required     string // what is missing without it; empty: it is optional
	External     string // the address of one that somebody else runs; empty: none
	// Replicas is the number of pods that spec asks for; nil: spec leaves it to others.
	Replicas *int32
	// Autoscaled says that spec leaves the number of pods to a HorizontalPodAutoscaler.
	Autoscaled bool
}

// The stages of an installation. Gateways and add-ons do not hold up others: a gateway without an address must not keep pods
// from being injected.
const (
	StageAccess       = "access"
	StageMesh         = "mesh configuration"
	StageCitadel      = "citadel"
	StageControlPlane = "control plane"
	StageInjector     = "injector"
	StageGateways     = "gateways"
	StageAddons       = "add-ons"
	StageWebhooks     = "webhooks"
)

func emptyStages() []Stage {
	return []Stage{
		{Name: StageAccess, WaitReady: true},
		{Name: StageMesh, WaitReady: true},
		{Name: StageCitadel, WaitReady: true},
		{Name: StageControlPlane, WaitReady: true, NeedsRoots: true},
		{Name: StageInjector, WaitReady: true, NeedsRoots: true},
		{Name: StageGateways, NeedsRoots: true},
		{Name: StageAddons, NeedsRoots: true},
		{Name: StageWebhooks, NeedsRoots: true},
	}
}

// Build computes the objects of the mesh.
func Build(in Input) (Plan, error) {
	in.Spec = withProfile(in.Spec)
	plan := Plan{Stages: emptyStages()}
	injector, err := injectorValues(in)
	if err != nil {
		return Plan{}, err
	}
	plan.SidecarVersion = versionOf(injector)
	for _, row := range in.Catalog.rows(in.Spec) {
		if row.Workload != "" && (!row.Optional || row.enabled(in.Spec) || row.external(in.Spec) != "") {
			plan.Components = append(plan.Components, componentOf(in, row))
		}
		if !row.enabled(in.Spec) {
			continue
		}
		objects, err := row.render(in)
		if err != nil {
			return Plan{}, err
		}
		for _, object := range objects {
			if err := plan.add(row, object); err != nil {
				return Plan{}, err
			}
		}
	}
	plan.sort()
	return plan, nil
}

// EveryObject renders every component of the catalog, whether spec enables it or not, and the default gateways: what the
// operator's permissions are computed from.
func EveryObject(in Input) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	for _, row := range in.Catalog.rows(in.Spec) {
		objects, err := row.render(in)
		if err != nil {
			return nil, err
		}
		all = append(all, objects...)
	}
	return all, nil
}

// componentOf is the component's line in status.
func componentOf(in Input, row Row) Component {
	c := Component{
		Name: row.Name, Workload: row.Workload, Kind: row.workloadKind(), Image: row.image(in), SidecarImage: in.Images[row.SidecarImage],
		Enabled: row.enabled(in.Spec), Endpoints: row.Endpoints, Webhook: row.Webhook, Required: row.Required,
		External: row.external(in.Spec),
	}
	if own := row.section(in.Spec); own != nil {
		c.Replicas, c.Autoscaled = own.Replicas, own.Autoscaling != nil
	}
	return c
}

// render returns the component's objects, marked as ours.
func (r Row) render(in Input) ([]*unstructured.Unstructured, error) {
	values := commonValues(in, r)
	if r.Values != nil {
		more, err := r.Values(in)
		if err != nil {
			return nil, fmt.Errorf("compute values of component %s: %w", r.Name, err)
		}
		for key, value := range more {
			values[key] = value
		}
	}
	objects, err := helm.Render(charts.FS, r.charts(), r.Chart, values)
	if err != nil {
		return nil, err
	}
	for _, object := range objects {
		own(object, r.Name, in.Facts.NamespaceUID)
	}
	return objects, nil
}

// own marks an object as ours, and the volume claims that a StatefulSet makes. What lives outside the mesh's namespace is
// deleted with that namespace.
func own(object *unstructured.Unstructured, component string, namespace types.UID) {
	object.SetLabels(owner.Label(object.GetLabels(), component))
	if object.GetNamespace() == "" && namespace != "" {
		object.SetOwnerReferences([]metav1.OwnerReference{{
			APIVersion: "v1", Kind: "Namespace", Name: owner.MeshNamespace, UID: namespace,
		}})
	}
	claims, found, _ := unstructured.NestedSlice(object.Object, "spec", "volumeClaimTemplates")
	if !found {
		return
	}
	for _, claim := range claims {
		template, ok := claim.(map[string]any)
		if !ok {
			continue
		}
		labels, _, _ := unstructured.NestedStringMap(template, "metadata", "labels")
		_ = unstructured.SetNestedStringMap(template, owner.Label(labels, component), "metadata", "labels") // metadata is a map, or the API server refuses it
	}
	_ = unstructured.SetNestedSlice(object.Object, claims, "spec", "volumeClaimTemplates") // it was read as a slice above
}

// add puts an object of a component into its stage: permissions first and webhooks last, whatever component they belong to.
func (p *Plan) add(row Row, object *unstructured.Unstructured) error {
	gvk := object.GroupVersionKind()
	kind, ok := kinds.Of(gvk.Group, gvk.Kind)
	if !ok || !kind.Applied {
		return fmt.Errorf("chart %s renders %s %s, whose kind the operator does not apply: add it to controllers/installation/kinds", row.Chart, gvk.Kind, object.GetName())
	}
	name := map[kinds.Phase]string{kinds.First: StageAccess, kinds.WithComponent: row.Stage, kinds.Last: StageWebhooks}[kind.Phase]
	i := slices.IndexFunc(p.Stages, func(s Stage) bool { return s.Name == name })
	if i < 0 {
		return fmt.Errorf("component %s names stage %q, which does not exist", row.Name, name)
	}
	p.Stages[i].Objects = append(p.Stages[i].Objects, object)
	return nil
}

// sort orders each stage by the table of kinds; objects of one kind stay in the order of their components.
func (p *Plan) sort() {
	for _, stage := range p.Stages {
		slices.SortStableFunc(stage.Objects, func(a, b *unstructured.Unstructured) int { return kinds.Rank(a) - kinds.Rank(b) })
	}
}

// Objects returns all objects in order.
func (p Plan) Objects() []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	for _, stage := range p.Stages {
		out = append(out, stage.Objects...)
	}
	return out
}

// Refs returns the names of all objects.
func (p Plan) Refs() map[apply.Ref]bool {
	refs := map[apply.Ref]bool{}
	for _, object := range p.Objects() {
		refs[apply.RefOf(object)] = true
	}
	return refs
}
