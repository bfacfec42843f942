package desired

import (
	"io/fs"
	"slices"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/charts"
)

// Names of components that other code refers to.
const (
	ComponentBase     = "base"
	ComponentPilot    = "pilot"
	ComponentCitadel  = "citadel"
	ComponentGalley   = "galley"
	ComponentInjector = "sidecarInjector"

	ComponentTelemetry     = "telemetry"
	ComponentPrometheus    = "prometheus"
	ComponentElasticsearch = "elasticsearch"
	ComponentJaeger        = "jaeger"
	ComponentJaegerQuery   = "jaegerQuery"
	ComponentJaegerAgent   = "jaegerAgent"

	ComponentGrafana           = "grafana"
	ComponentGrafanaDashboards = "grafanaDashboards"
)

// Row describes one component. Adding a component is a chart, a row and a values function: CONTRIBUTING.md has the recipe.
type Row struct {
	// Name is in status.components and in the component label of every object of the component.
	Name string
	// Workload names the object that runs its pods, of kind WorkloadKind; empty: the component runs nothing, and has no line
	// in status.components.
	Workload string
	// WorkloadOf returns the workload where it depends on spec; nil: it is Workload.
	WorkloadOf func(*v1alpha1.InstallationSpec) string
	// WorkloadKind is Deployment, StatefulSet, DaemonSet or Job; empty: Deployment.
	WorkloadKind string
	// Chart is the folder of its chart in Charts.
	Chart string
	// Charts holds the chart; nil: package charts, which has the chart library in any case.
	Charts fs.FS
	// Stage is when its objects are applied; permissions and webhooks have stages of their own.
	Stage string
	// Image is the name of its image in Images.
	Image string
	// SidecarImage is the name of the image that it adds to pods of users; empty: none.
	SidecarImage string
	// Section returns the part of spec that tunes the component, nil when the user wrote none; nil function: none exists.
	Section func(*v1alpha1.InstallationSpec) *v1alpha1.ComponentSpec
	// Enabled decides whether the component is installed; nil: unless its section says enabled: false.
	Enabled func(*v1alpha1.InstallationSpec) bool
	// Optional says that status lists the component only while it is enabled.
	Optional bool
	// External returns the address of one that somebody else runs and spec names, which status then lists; "": none. nil: never.
	External func(*v1alpha1.InstallationSpec) string
	// Values are the chart's values beyond the common ones; nil: none.
	Values func(Input) (map[string]any, error)
	// Webhook is the kind of the webhook configuration that is named like the workload; empty: none.
	Webhook string
	// Required says what is missing without the component; the mesh is not Ready while it is disabled. Empty: it is optional.
	Required string
	// Endpoints says that status.endpoints lists the http and https ports of the Service that is named like the workload.
	Endpoints bool
}

// Catalog is the table of components.
type Catalog []Row

// Components is the catalog of this version, without gateways, which spec names.
func Components() Catalog {
	return Catalog{
		{Name: ComponentBase, Chart: "base", Stage: StageMesh, Values: baseValues},
		{Name: ComponentCitadel, Workload: "istio-citadel", Chart: "citadel", Stage: StageCitadel, Image: OperatorImage,
			Section: section(func(c *v1alpha1.ComponentsSpec) *v1alpha1.ComponentSpec { return c.Citadel }), Values: citadelValues,
			Required: "proxies get no certificates"},
		{Name: ComponentPilot, Workload: "istio-pilot", Chart: "pilot", Stage: StageControlPlane, Image: OperatorImage,
			Section: section(func(c *v1alpha1.ComponentsSpec) *v1alpha1.ComponentSpec { return c.Pilot }), Required: "proxies get no configuration"},
		{Name: ComponentGalley, Workload: "istio-galley", Chart: "galley", Stage: StageControlPlane, Image: OperatorImage,
			Section: section(func(c *v1alpha1.ComponentsSpec) *v1alpha1.ComponentSpec { return c.Galley }), Webhook: "ValidatingWebhookConfiguration"},
		{Name: ComponentInjector, Workload: "istio-sidecar-injector", Chart: "sidecar-injector", Stage: StageInjector, Image: OperatorImage,
			SidecarImage: ProxyImage, Values: injectorValues, Webhook: "MutatingWebhookConfiguration",
			Section: section(func(c *v1alpha1.ComponentsSpec) *v1alpha1.ComponentSpec { return c.SidecarInjector })},
		{Name: ComponentTelemetry, Workload: "istio-telemetry", Chart: "telemetry", Stage: StageAddons, Image: OperatorImage, Section: telemetrySection},
		{Name: ComponentPrometheus, Workload: "prometheus", Chart: "prometheus", Stage: StageAddons, Image: PrometheusImage,
			Section: prometheusSection, Values: prometheusValues},
		{Name: ComponentElasticsearch, Workload: "elasticsearch", WorkloadKind: "StatefulSet", Chart: "elasticsearch", Stage: StageAddons,
			Image: ElasticsearchImage, Section: elasticsearchSection, Enabled: ownElasticsearch, Optional: true, Values: elasticsearchValues},
		{Name: ComponentJaeger, Workload: jaegerAll, WorkloadOf: jaegerWorkload, Chart: "jaeger", Stage: StageAddons, Image: JaegerImage,
			Section: jaegerSection, Enabled: jaegerEnabled, Optional: true, Values: jaegerValues},
		{Name: ComponentJaegerQuery, Workload: jaegerQuery, Chart: "jaeger", Stage: StageAddons, Image: JaegerImage,
			Enabled: splitJaeger, Optional: true, Values: jaegerQueryValues},
		{Name: ComponentJaegerAgent, Workload: jaegerAgent, WorkloadKind: "DaemonSet", Chart: "jaeger", Stage: StageAddons, Image: JaegerImage,
			Enabled: splitJaeger, Optional: true, Values: jaegerAgentValues},
		{Name: ComponentGrafanaDashboards, Chart: "grafana-dashboards", Stage: StageAddons, Enabled: dashboardsEnabled},
		{Name: ComponentGrafana, Workload: "grafana", Chart: "grafana", Stage: StageAddons, Image: GrafanaImage,
			Section: grafanaSection, Enabled: grafanaEnabled, Optional: true, External: externalGrafana, Values: grafanaValues},
	}
}

// section adapts a field of spec.components.
func section(field func(*v1alpha1.ComponentsSpec) *v1alpha1.ComponentSpec) func(*v1alpha1.InstallationSpec) *v1alpha1.ComponentSpec {
	return func(spec *v1alpha1.InstallationSpec) *v1alpha1.ComponentSpec {
		if spec.Components == nil {
			return nil
		}
		return field(spec.Components)
	}
}

// rows returns the catalog with a row for every gateway of spec.
func (c Catalog) rows(spec *v1alpha1.InstallationSpec) []Row {
	out := slices.Clone(c)
	for i := range out {
		if out[i].WorkloadOf != nil {
			out[i].Workload = out[i].WorkloadOf(spec)
		}
	}
	for _, g := range gateways(spec) {
		out = append(out, gatewayRow(g))
	}
	return out
}

func gatewayRow(g v1alpha1.GatewaySpec) Row {
	return Row{
		Name: g.Name, Workload: g.Name, Chart: "gateway", Stage: StageGateways, Image: ProxyImage, Endpoints: !isEgress(g),
		Section: func(*v1alpha1.InstallationSpec) *v1alpha1.ComponentSpec { return &g.ComponentSpec },
		Values: func(Input) (map[string]any, error) {
			return map[string]any{"name": g.Name, "gateway": gatewayValues(g)}, nil
		},
	}
}

// ReservedNames are names that a gateway cannot have: of components, their workloads and their charts, of the mesh's
// ConfigMap, and of what status lists as unsupported.
func (c Catalog) ReservedNames() []string {
	names := []string{"istio"}
	for _, row := range c {
		for _, name := range []string{row.Name, row.Workload, row.Chart} {
			if gatewayName.MatchString(name) {
				names = append(names, name)
			}
		}
	}
	names = append(names, unsupportedComponents...)
	slices.Sort(names)
	return slices.Compact(names)
}

func (r Row) charts() fs.FS {
	if r.Charts == nil {
		return charts.FS
	}
	return r.Charts
}

func (r Row) section(spec *v1alpha1.InstallationSpec) *v1alpha1.ComponentSpec {
	if r.Section == nil {
		return nil
	}
	return r.Section(spec)
}

func (r Row) enabled(spec *v1alpha1.InstallationSpec) bool {
	if r.Enabled != nil {
		return r.Enabled(spec)
	}
	own := r.section(spec)
	return own == nil || own.Enabled == nil || *own.Enabled
}

func (r Row) external(spec *v1alpha1.InstallationSpec) string {
	if r.External == nil {
		return ""
	}
	return r.External(spec)
}

func (r Row) workloadKind() string {
	if r.Workload != "" && r.WorkloadKind == "" {
		return "Deployment"
	}
	return r.WorkloadKind
}
