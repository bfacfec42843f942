package v1alpha1

// ForeignFields are top-level fields of ServiceMeshControlPlane and IstioOperator, which people bring along. They are defined so that
// the API server keeps them until an admission policy refuses them with what to use in their place; an unknown field would be
// dropped, or refused without a hint.
type ForeignFields struct {
	// profiles is a field of other resources. Refused: see profile, which names one.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	Profiles *Raw `json:"profiles,omitempty"`
	// version is a field of other resources. Refused: the control plane's version is the operator's.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	Version *Raw `json:"version,omitempty"`
	// revision is a field of other resources. Refused: there is one control plane.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	Revision *Raw `json:"revision,omitempty"`
	// hub is a field of other resources. Refused: see images.registry.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	Hub *Raw `json:"hub,omitempty"`
	// tag is a field of other resources. Refused: see istio.version.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	Tag *Raw `json:"tag,omitempty"`
	// meshConfig is a field of other resources. Refused: see mesh and security.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	MeshConfig *Raw `json:"meshConfig,omitempty"`
	// values is a field of other resources. Refused: see components, gateways and injection.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	Values *Raw `json:"values,omitempty"`
	// proxy is a field of other resources. Refused: see injection.proxy.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	Proxy *Raw `json:"proxy,omitempty"`
	// runtime is a field of other resources. Refused: see components.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	Runtime *Raw `json:"runtime,omitempty"`
	// addons is a field of other resources. Refused: see jaeger and kiali.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	Addons *Raw `json:"addons,omitempty"`
	// addonComponents is a field of other resources. Refused: see jaeger and kiali.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	AddonComponents *Raw `json:"addonComponents,omitempty"`
	// policy is a field of other resources. Refused: there is no Mixer.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	Policy *Raw `json:"policy,omitempty"`
	// tracing is a field of other resources. Refused: see telemetry.tracing and jaeger.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	Tracing *Raw `json:"tracing,omitempty"`
	// general is a field of other resources. Refused: see injection.proxy.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	General *Raw `json:"general,omitempty"`
	// techPreview is a field of other resources. Refused: there is no such list of experiments.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	TechPreview *Raw `json:"techPreview,omitempty"`
	// unvalidatedValues is a field of other resources. Refused: see components, gateways and injection.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	UnvalidatedValues *Raw `json:"unvalidatedValues,omitempty"`
	// namespace is a field of other resources. Refused: the mesh's namespace is istio-system.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	Namespace *Raw `json:"namespace,omitempty"`
}

// ForeignField is a field of ForeignFields and what its author can do.
//
// +kubebuilder:object:generate=false
type ForeignField struct {
	Name   string
	WayOut string
	Of     func(*ForeignFields) *Raw
}

// ForeignFieldTable has a row for every field of ForeignFields.
var ForeignFieldTable = []ForeignField{
	{"profiles", "use spec.profile, which is Historic, Minimal or Production", func(f *ForeignFields) *Raw { return f.Profiles }},
	{"version", "remove it, the version of the control plane is that of the operator", func(f *ForeignFields) *Raw { return f.Version }},
	{"revision", "remove it, there is one control plane", func(f *ForeignFields) *Raw { return f.Revision }},
	{"hub", "use spec.images.registry", func(f *ForeignFields) *Raw { return f.Hub }},
	{"tag", "use spec.istio.version", func(f *ForeignFields) *Raw { return f.Tag }},
	{"meshConfig", "use spec.mesh and spec.security", func(f *ForeignFields) *Raw { return f.MeshConfig }},
	{"values", "use spec.components, spec.gateways and spec.injection", func(f *ForeignFields) *Raw { return f.Values }},
	{"proxy", "use spec.injection.proxy", func(f *ForeignFields) *Raw { return f.Proxy }},
	{"runtime", "use spec.components", func(f *ForeignFields) *Raw { return f.Runtime }},
	{"addons", "use spec.jaeger and spec.kiali", func(f *ForeignFields) *Raw { return f.Addons }},
	{"addonComponents", "use spec.jaeger and spec.kiali", func(f *ForeignFields) *Raw { return f.AddonComponents }},
	{"policy", "remove it, there is no Mixer", func(f *ForeignFields) *Raw { return f.Policy }},
	{"tracing", "use spec.telemetry.tracing and spec.jaeger", func(f *ForeignFields) *Raw { return f.Tracing }},
	{"general", "use spec.injection.proxy for logs, and remove the rest", func(f *ForeignFields) *Raw { return f.General }},
	{"techPreview", "remove it, there is no list of experiments", func(f *ForeignFields) *Raw { return f.TechPreview }},
	{"unvalidatedValues", "use spec.components, spec.gateways and spec.injection", func(f *ForeignFields) *Raw { return f.UnvalidatedValues }},
	{"namespace", "remove it, the namespace of the mesh is istio-system", func(f *ForeignFields) *Raw { return f.Namespace }},
}
