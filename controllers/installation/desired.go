package installation

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/charts"
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

// Input is everything that Desired looks at.
type Input struct {
	Spec   *v1alpha1.InstallationSpec
	Images Images
	Facts  Facts
}

// Plan is what has to be in the cluster, in the order in which it gets there.
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
	// WaitReady says that the next stage waits until everything here is ready.
	WaitReady bool
	// NeedsRoots says that the stage waits until the roots of trust are out.
	NeedsRoots bool
}

// Component is one line of status.components.
type Component struct {
	Name         string // in status and in the component label
	Deployment   string
	Image        string
	SidecarImage string // the image it adds to pods of users; empty: none
	Enabled      bool
	Ingress      bool // users reach the mesh through it
}

// The stages of an installation. Gateways hold nothing up: a gateway without an address must not keep pods from being
// injected.
const (
	stageAccess       = "access"
	stageMesh         = "mesh configuration"
	stageCitadel      = "citadel"
	stageControl      = "control plane"
	stageInjector     = "injector"
	stageGateways     = "gateways"
	stageWebhooks     = "webhooks"
	componentBase     = "base"
	componentPilot    = "pilot"
	componentCitadel  = "citadel"
	componentGalley   = "galley"
	componentInjector = "sidecarInjector"
)

func emptyStages() []Stage {
	return []Stage{
		{Name: stageAccess, WaitReady: true},
		{Name: stageMesh, WaitReady: true},
		{Name: stageCitadel, WaitReady: true},
		{Name: stageControl, WaitReady: true, NeedsRoots: true},
		{Name: stageInjector, WaitReady: true, NeedsRoots: true},
		{Name: stageGateways, NeedsRoots: true},
		{Name: stageWebhooks, NeedsRoots: true},
	}
}

// part is one chart to render.
type part struct {
	component, deployment, chart, stage string
	spec                                *v1alpha1.ComponentSpec
	image, injects                      string
	ingress                             bool
	more                                map[string]any // values beyond the common ones
}

// Desired computes the objects of the mesh.
func Desired(in Input) (Plan, error) {
	injection, err := injectionValues(in)
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{Stages: emptyStages(), SidecarVersion: versionOf(injection)}
	for _, p := range parts(in, injection) {
		enabled := p.spec == nil || p.spec.Enabled == nil || *p.spec.Enabled
		values := commonValues(in, p.component, p.spec, p.image)
		if p.deployment != "" {
			image, _ := values["image"].(string)
			plan.Components = append(plan.Components, Component{Name: p.component, Deployment: p.deployment, Image: image,
				SidecarImage: p.injects, Enabled: enabled, Ingress: p.ingress})
		}
		if !enabled {
			continue
		}
		for key, value := range p.more {
			values[key] = value
		}
		objects, err := helm.Render(charts.FS, p.chart, values)
		if err != nil {
			return Plan{}, err
		}
		for _, object := range objects {
			own(object, p.component, in.Facts.NamespaceUID)
			plan.add(stageOf(object, p.stage), object)
		}
	}
	plan.sort()
	return plan, nil
}

// parts lists the charts that make up the mesh.
func parts(in Input, injection map[string]any) []part {
	c := in.Spec.Components
	if c == nil {
		c = &v1alpha1.ComponentsSpec{}
	}
	mode, _ := mtlsMode(in.Spec)
	out := []part{
		{component: componentBase, chart: "base", stage: stageMesh, more: map[string]any{
			"mtlsMode": mode, "outboundTrafficPolicy": outboundPolicy(in.Spec)}},
		{component: componentCitadel, deployment: "istio-citadel", chart: "citadel", stage: stageCitadel, spec: c.Citadel, image: in.Images.Operator,
			more: map[string]any{"workloadCertTTL": workloadCertTTL(in.Spec)}},
		{component: componentPilot, deployment: "istio-pilot", chart: "pilot", stage: stageControl, spec: c.Pilot, image: in.Images.Operator},
		{component: componentGalley, deployment: "istio-galley", chart: "galley", stage: stageControl, spec: c.Galley, image: in.Images.Operator},
		{component: componentInjector, deployment: "istio-sidecar-injector", chart: "sidecar-injector", stage: stageInjector,
			spec: c.SidecarInjector, image: in.Images.Operator, injects: in.Images.Proxy, more: map[string]any{"injection": injection}},
	}
	for _, g := range gateways(in.Spec) {
		out = append(out, part{component: g.Name, deployment: g.Name, chart: "gateway", stage: stageGateways, spec: &g.ComponentSpec,
			image: in.Images.Proxy, ingress: !isEgress(g), more: map[string]any{"name": g.Name, "gateway": gatewayValues(g)}})
	}
	return out
}

func outboundPolicy(spec *v1alpha1.InstallationSpec) string {
	if spec.Mesh == nil {
		return "REGISTRY_ONLY"
	}
	return or(spec.Mesh.OutboundTrafficPolicy, "REGISTRY_ONLY")
}

// workloadCertTTL is the lifetime of workload certificates; no request gets a longer one.
func workloadCertTTL(spec *v1alpha1.InstallationSpec) string {
	if spec.Security == nil {
		return "24h"
	}
	return or(spec.Security.WorkloadCertTTL, "24h")
}

// stageOf puts permissions first and webhooks last, whatever component they belong to.
func stageOf(object *unstructured.Unstructured, own string) string {
	switch object.GetKind() {
	case "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding":
		return stageAccess
	case "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration":
		return stageWebhooks
	}
	return own
}

// own marks an object as ours. What lives outside the mesh's namespace goes when that namespace goes.
func own(object *unstructured.Unstructured, component string, namespace types.UID) {
	object.SetLabels(owner.Label(object.GetLabels(), component))
	if object.GetNamespace() == "" && namespace != "" {
		object.SetOwnerReferences([]metav1.OwnerReference{{
			APIVersion: "v1", Kind: "Namespace", Name: owner.MeshNamespace, UID: namespace,
		}})
	}
}

func (p *Plan) add(stage string, object *unstructured.Unstructured) {
	for i := range p.Stages {
		if p.Stages[i].Name == stage {
			p.Stages[i].Objects = append(p.Stages[i].Objects, object)
			return
		}
	}
}

// kindOrder lists kinds that others of the same stage need; all others come after them in the order of their charts.
var kindOrder = []string{"ServiceAccount", "ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding", "ConfigMap", "Service"}

func (p *Plan) sort() {
	rank := func(object *unstructured.Unstructured) int {
		if i := slices.Index(kindOrder, object.GetKind()); i >= 0 {
			return i
		}
		return len(kindOrder)
	}
	for _, stage := range p.Stages {
		slices.SortStableFunc(stage.Objects, func(a, b *unstructured.Unstructured) int { return rank(a) - rank(b) })
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
