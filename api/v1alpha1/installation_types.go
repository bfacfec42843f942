package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Installation describes one service mesh: the operator installs what it says, repairs it, and removes it when the
// Installation is deleted. It has to be named istio-installation and live in the operator's namespace, so there is one per
// cluster. All of it is optional: an Installation without a spec is a working mesh.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=installations,singular=installation,scope=Namespaced,shortName=inst
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.version.current`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Installation struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the mesh you want. Leave it out for the defaults.
	// +optional
	Spec InstallationSpec `json:"spec,omitempty"`
	// status is what the operator found and did. It is written by the operator alone.
	// +optional
	Status InstallationStatus `json:"status,omitempty"`
}

// InstallationList is a list of Installations.
//
// +kubebuilder:object:root=true
type InstallationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Installation `json:"items"`
}

// InstallationSpec is the mesh you want.
//
// +kubebuilder:validation:XValidation:rule="!has(self.telemetry) || !has(self.telemetry.tracing) || !has(self.telemetry.tracing.provider) || self.telemetry.tracing.provider != 'OTLP' || !has(self.jaeger) || has(self.jaeger.external) && has(self.jaeger.external.otlpURL) || !has(self.jaeger.external) && (!has(self.jaeger.enabled) || self.jaeger.enabled)",message="OTLP has no collector; write the address of one to spec.jaeger.external.otlpURL, such as http://otel-collector.observability:4317",fieldPath=".telemetry.tracing.provider"
// +kubebuilder:validation:XValidation:rule="!has(self.telemetry) || !has(self.telemetry.tracing) || !has(self.telemetry.tracing.provider) || self.telemetry.tracing.provider != 'Zipkin' || !has(self.jaeger) || has(self.jaeger.external) && has(self.jaeger.external.zipkinURL) || !has(self.jaeger.external) && (!has(self.jaeger.enabled) || self.jaeger.enabled)",message="Zipkin has no collector; write the address of one to spec.jaeger.external.zipkinURL, such as http://zipkin.tracing:9411",fieldPath=".telemetry.tracing.provider"
// +kubebuilder:validation:XValidation:rule="!has(self.grafana) || !has(self.grafana.enabled) || !self.grafana.enabled || !has(self.prometheus) || !has(self.prometheus.enabled) || self.prometheus.enabled",message="the dashboards show what the mesh's Prometheus collects, and there is none; write spec.prometheus.enabled: true too, or remove the field",fieldPath=".grafana.enabled"
type InstallationSpec struct {
	// profile sets fields that you leave unset. Historic: every component, one pod each, as the historic product did. Minimal: the
	// control plane alone, without gateways, Prometheus and Jaeger. Production: mutual TLS only (STRICT), and two pods, a
	// PodDisruptionBudget, a spread over nodes and larger requests for the control plane and the gateways. Unset: Historic.
	// +kubebuilder:validation:Enum=Historic;Minimal;Production
	// +optional
	Profile string `json:"profile,omitempty"`

	// deployment_type says what kind of cluster this is: "openshift" or "origin". It chose the set of images once; today all
	// clusters run the same ones, and the field changes nothing. Unset: the same.
	// +kubebuilder:validation:Enum=origin;openshift
	// +optional
	DeploymentType string `json:"deployment_type,omitempty"`

	// istio holds the mesh-wide settings of the historic resource: mutual TLS (see also security), and where images come from
	// (see also images).
	// +optional
	Istio *IstioSpec `json:"istio,omitempty"`
	// jaeger configures distributed tracing: by a Jaeger of the mesh's own, whose storage is Elasticsearch unless storage says
	// otherwise, or by a tracing system that is there already (external). Unset: Jaeger with Elasticsearch, as in the historic
	// product; enabled: false leaves it out.
	// +optional
	Jaeger *JaegerSpec `json:"jaeger,omitempty"`
	// kiali asks for the mesh's console when both username and password are given. Accepted; this version does not install
	// it and says so in status.components.
	// +optional
	Kiali *KialiSpec `json:"kiali,omitempty"`
	// launcher asks for the Fabric8 launcher by its mere presence. Accepted; this version does not install it and says so in
	// status.components.
	// +optional
	Launcher *LauncherSpec `json:"launcher,omitempty"`
	// threeScale asks for the 3scale API management adapter. Accepted; this version does not install it. Because the adapter
	// decides who may call an API, an Installation that enables it does not become Ready.
	// +optional
	ThreeScale *ThreeScaleSpec `json:"threeScale,omitempty"`

	// prometheus collects the metrics of the mesh. It is installed unless it says enabled: false.
	// +optional
	Prometheus *PrometheusSpec `json:"prometheus,omitempty"`
	// grafana shows the metrics of the mesh on dashboards. It is installed with Prometheus unless it says enabled: false, or names
	// a Grafana that is there already (external).
	// +optional
	Grafana *GrafanaSpec `json:"grafana,omitempty"`

	// components tunes the parts of the control plane: replicas, resources, placement, image.
	// +optional
	Components *ComponentsSpec `json:"components,omitempty"`
	// gateways is a list of edge proxies. istio-ingressgateway and istio-egressgateway are there even if the list is empty; an
	// entry of that name changes it (enabled: false leaves it out), an entry of another name adds a gateway to istio-system.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=32
	// +optional
	Gateways []GatewaySpec `json:"gateways,omitempty"`
	// images says where images are pulled from and how.
	// +optional
	Images *ImagesSpec `json:"images,omitempty"`
	// security configures identity and mutual TLS.
	// +optional
	Security *SecuritySpec `json:"security,omitempty"`
	// mesh holds settings of the whole mesh.
	// +optional
	Mesh *MeshSpec `json:"mesh,omitempty"`
	// telemetry says what proxies report of the requests that they see.
	// +optional
	Telemetry *TelemetrySpec `json:"telemetry,omitempty"`
	// injection configures the sidecar that is added to pods. A change concerns pods created afterwards;
	// status.dataPlane.outdated counts those to restart.
	// +optional
	Injection *InjectionSpec `json:"injection,omitempty"`
	// uninstall says what deleting this Installation may remove beyond what it created.
	// +optional
	Uninstall *UninstallSpec `json:"uninstall,omitempty"`

	ForeignFields `json:",inline"`
}

// IstioSpec holds the mesh-wide settings of the historic resource.
type IstioSpec struct {
	// authentication turns on mutual TLS: true accepts nothing but mutual TLS between pods of the mesh (STRICT), false also
	// accepts plaintext (PERMISSIVE). Unset: false. The newer spelling is spec.security.mtls.mode; when both are given they
	// must agree.
	// +optional
	Authentication *bool `json:"authentication,omitempty"`
	// community chose the images of the upstream Istio project. Those images were Istio 1.1 and are not what this operator
	// runs, so true now means this operator's own images, with a warning.
	// +optional
	Community *bool `json:"community,omitempty"`
	// prefix is put before the image names mesh-operator and proxyv2, to pull them from your own registry: "registry/team",
	// "registry/team/" or "registry/team/my-". The prefixes of the retired tech preview name images that no longer exist;
	// they select this operator's own images, with a warning.
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule="!self.contains('://') && !self.matches('[[:space:]]')",message="no beginning of an image reference; write registry/folder, without spaces and without https://"
	// +optional
	Prefix string `json:"prefix,omitempty"`
	// version is the tag of the images, never an upgrade: the control plane's version is the operator's. Quote it: YAML turns
	// 1.10 into the number 1.1. Tags of the retired tech preview (0.1.0 to 0.12.0) select this operator's own version.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	Version *Scalar `json:"version,omitempty"`
}

// ComponentsSpec tunes the parts of the control plane.
type ComponentsSpec struct {
	// pilot turns Services and Istio configuration into the configuration of every proxy (xDS).
	// +optional
	Pilot *ComponentSpec `json:"pilot,omitempty"`
	// citadel is the certificate authority of the mesh.
	// +optional
	Citadel *ComponentSpec `json:"citadel,omitempty"`
	// galley checks Istio configuration when it is created or changed.
	// +optional
	Galley *ComponentSpec `json:"galley,omitempty"`
	// sidecarInjector adds the proxy to pods when they are created.
	// +optional
	SidecarInjector *ComponentSpec `json:"sidecarInjector,omitempty"`
	// telemetry keeps the last access log entries of each workload in memory, for meshctl logs.
	// +optional
	Telemetry *ComponentSpec `json:"telemetry,omitempty"`
}

// ComponentSpec is what can be said about every component.
//
// +kubebuilder:validation:XValidation:rule="!has(self.replicas) || !has(self.autoscaling)",message="replicas and autoscaling both decide the number of pods; remove one of the two"
type ComponentSpec struct {
	// enabled false leaves the component out, and deletes it if it was there. Without citadel pods get no certificates, without
	// pilot no configuration, and the Installation is not Ready; without sidecarInjector new pods get no sidecar, without galley
	// wrong configuration is not refused. Unset: true.
	// +optional
	Enabled *bool `json:"enabled,omitempty"`
	// image is the complete image reference of this component, such as registry.example.com/mesh/mesh-operator:1; it wins over
	// every prefix, version and registry. Unset: the image of the operator's version, as spec.istio and spec.images say.
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="!self.contains('://') && !self.matches('[[:space:]]')",message="no image reference; write registry/name:tag, without spaces and without https://"
	// +optional
	Image string `json:"image,omitempty"`
	// replicas is the number of pods; a count changed by other means is put back. Unset: one at first, and the operator leaves
	// the count to you (kubectl scale) or to an autoscaler; only a count of 0 that no autoscaler chose is set back to 1.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	// +optional
	Replicas *int32 `json:"replicas,omitempty"`
	// autoscaling creates a HorizontalPodAutoscaler that owns the number of pods; replicas must then be unset. The cluster
	// needs a metrics server for it. Unset: none.
	// +optional
	Autoscaling *AutoscalingSpec `json:"autoscaling,omitempty"`
	// podDisruptionBudget creates a PodDisruptionBudget, which limits how many pods a node drain may take at once. Unset: none.
	// +optional
	PodDisruptionBudget *PodDisruptionBudgetSpec `json:"podDisruptionBudget,omitempty"`
	// resources are the requests and limits of the component's container. Unset: requests of cpu 10m and memory 64Mi, and no
	// limits.
	// +optional
	Resources *ResourcesSpec `json:"resources,omitempty"`
	// nodeSelector places the pods on nodes with all of these labels. Unset: on any node.
	// +optional
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	// tolerations let the pods run on nodes with these taints, as in a pod: kubectl explain pod.spec.tolerations.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	Tolerations *Raw `json:"tolerations,omitempty"`
	// affinity is the affinity of the pods, as in a pod: kubectl explain pod.spec.affinity.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	Affinity *Raw `json:"affinity,omitempty"`
	// topologySpreadConstraints spreads the pods over nodes and zones, as in a pod: kubectl explain
	// pod.spec.topologySpreadConstraints.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	TopologySpreadConstraints *Raw `json:"topologySpreadConstraints,omitempty"`
	// priorityClassName names the PriorityClass of the pods, which has to exist. Unset: the cluster's default.
	// +optional
	PriorityClassName string `json:"priorityClassName,omitempty"`
	// podLabels are added to the pods; labels of the component itself win.
	// +optional
	PodLabels map[string]string `json:"podLabels,omitempty"`
	// podAnnotations are added to the pods; annotations of the component itself win.
	// +optional
	PodAnnotations map[string]string `json:"podAnnotations,omitempty"`
	// env is added to the environment of the component's container; variables of the component itself win. Of a gateway's,
	// TERMINATION_DRAIN_DURATION may be set, from 0s to 1h: how long it serves on when its pod is told to end. Requests and
	// TCP connections that are still open then get 15 s more, and terminationGracePeriodSeconds follows. Unset: 5s.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=100
	// +optional
	Env []EnvVar `json:"env,omitempty"`
}

// EnvVar is one environment variable.
type EnvVar struct {
	// name of the variable.
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z_][A-Za-z0-9_]*$')",message="no name of an environment variable; write letters, digits and _, not beginning with a digit, such as LOG_LEVEL"
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// value of the variable. Not for secrets: whoever reads Installations reads it.
	// +optional
	Value string `json:"value,omitempty"`
}

// ResourcesSpec is what a container may use.
type ResourcesSpec struct {
	// requests is what the container is guaranteed, such as cpu: 100m, memory: 128Mi. Unset: what limits says, if anything.
	// +optional
	Requests corev1.ResourceList `json:"requests,omitempty"`
	// limits is what the container can't exceed: it is slowed down at the cpu, and killed at the memory. Unset: no limits.
	// +optional
	Limits corev1.ResourceList `json:"limits,omitempty"`
}

// AutoscalingSpec is a HorizontalPodAutoscaler on processor use.
//
// +kubebuilder:validation:XValidation:rule="!has(self.minReplicas) || self.minReplicas <= self.maxReplicas",message="minReplicas is more than maxReplicas; lower it, or raise maxReplicas",fieldPath=".minReplicas"
type AutoscalingSpec struct {
	// minReplicas is the smallest number of pods; not more than maxReplicas. Unset: 1.
	// +kubebuilder:validation:Minimum=1
	// +optional
	MinReplicas *int32 `json:"minReplicas,omitempty"`
	// maxReplicas is the largest number of pods.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	MaxReplicas int32 `json:"maxReplicas"`
	// targetCPUUtilizationPercentage is the processor use, in percent of the request, that the number of pods aims at. Unset:
	// 80.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	// +optional
	TargetCPUUtilizationPercentage *int32 `json:"targetCPUUtilizationPercentage,omitempty"`
}

// PodDisruptionBudgetSpec limits voluntary disruptions; give one of the two.
//
// +kubebuilder:validation:XValidation:rule="!has(self.minAvailable) || !has(self.maxUnavailable)",message="minAvailable and maxUnavailable exclude each other; remove one of the two"
// +kubebuilder:validation:XValidation:rule="has(self.minAvailable) || has(self.maxUnavailable)",message="neither minAvailable nor maxUnavailable is given; give one of the two"
type PodDisruptionBudgetSpec struct {
	// minAvailable is how many pods must stay. With as many pods as that, a node with one of them can't be drained.
	// +kubebuilder:validation:Minimum=0
	// +optional
	MinAvailable *int32 `json:"minAvailable,omitempty"`
	// maxUnavailable is how many pods may go.
	// +kubebuilder:validation:Minimum=0
	// +optional
	MaxUnavailable *int32 `json:"maxUnavailable,omitempty"`
}
