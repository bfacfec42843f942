package v1alpha1

// ImagesSpec says where images are pulled from and how.
type ImagesSpec struct {
	// registry is put before the image names mesh-operator and proxyv2, such as registry.example.com/mesh, with the operator's
	// version as their tag. spec.istio.prefix and a component's image win over it; it wins over the operator's flag
	// --image-registry. Unset: that flag, then the images that the operator was built with; status.images lists them.
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule="!self.contains('://') && !self.matches('[[:space:]]')",message="no beginning of an image reference; write registry/folder, without spaces and without https://"
	// +optional
	Registry string `json:"registry,omitempty"`
	// pullPolicy of every container of the mesh, injected ones included. Unset: IfNotPresent.
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	// +optional
	PullPolicy string `json:"pullPolicy,omitempty"`
	// pullSecrets name Secrets with the credentials of the registry, such as kubectl create secret docker-registry makes.
	// They are given to the pods of the control plane and of gateways, and added to those of pods that get a sidecar. A pod
	// finds them in its own namespace only: copy them to istio-system and to every namespace whose pods get a sidecar.
	// +listType=map
	// +listMapKey=name
	// +optional
	PullSecrets []LocalReference `json:"pullSecrets,omitempty"`
}

// LocalReference names an object in the namespace of whatever uses it.
type LocalReference struct {
	// name of the object.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// SecuritySpec configures identity and mutual TLS.
type SecuritySpec struct {
	// mtls is mutual TLS between the pods of the mesh.
	// +optional
	MTLS *MTLSSpec `json:"mtls,omitempty"`
	// workloadCertTTL is how long the certificate of a pod is valid, such as 24h, 90m or 1h30m, between 1m and 2160h. Proxies
	// renew at half of it; a running one notices a change with its next renewal. Unset: 24h.
	// +kubebuilder:validation:MaxLength=12
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}[hms]){1,3}$') && duration(self) >= duration('1m') && duration(self) <= duration('2160h')",message="a duration such as 24h, 90m or 1h30m, between 1m and 2160h"
	// +optional
	WorkloadCertTTL string `json:"workloadCertTTL,omitempty"`
}

// MTLSSpec is mutual TLS between the pods of the mesh.
type MTLSSpec struct {
	// mode is STRICT (only mutual TLS is accepted), PERMISSIVE (plaintext as well) or DISABLE (no mutual TLS). It becomes the
	// PeerAuthentication "default" in istio-system, which a PeerAuthentication of a namespace or workload overrides. Unset:
	// what spec.istio.authentication says, and PERMISSIVE if that is unset too.
	// +kubebuilder:validation:Enum=STRICT;PERMISSIVE;DISABLE
	// +optional
	Mode string `json:"mode,omitempty"`
}

// MeshSpec holds settings of the whole mesh.
type MeshSpec struct {
	// outboundTrafficPolicy says what a sidecar does with a destination that the mesh does not know: REGISTRY_ONLY refuses
	// it, ALLOW_ANY lets it pass. Unset: REGISTRY_ONLY.
	// +kubebuilder:validation:Enum=REGISTRY_ONLY;ALLOW_ANY
	// +optional
	OutboundTrafficPolicy string `json:"outboundTrafficPolicy,omitempty"`
}

// InjectionSpec configures the sidecar that is added to pods.
type InjectionSpec struct {
	// annotationOptIn false ignores the pod annotation sidecar.istio.io/inject: "true" in namespaces without the label
	// istio-injection=enabled; the pod label of that name still works. Unset: true, the annotation is enough.
	// +optional
	AnnotationOptIn *bool `json:"annotationOptIn,omitempty"`
	// proxy configures the sidecar's container.
	// +optional
	Proxy *ProxySpec `json:"proxy,omitempty"`
	// init configures istio-init, the container that redirects a pod's traffic to the sidecar before the others start.
	// +optional
	Init *InitSpec `json:"init,omitempty"`
}

// InitSpec configures the container istio-init of pods created afterwards.
type InitSpec struct {
	// resources are the requests and limits of istio-init. Unset: requests of cpu 10m and memory 16Mi, limits of cpu 500m and
	// memory 128Mi.
	// +optional
	Resources *ResourcesSpec `json:"resources,omitempty"`
}

// ProxySpec configures the sidecar's container. It concerns pods created afterwards; status.dataPlane.outdated counts the
// others.
type ProxySpec struct {
	// resources are the requests and limits of the sidecar; a pod can have its own by the annotations
	// sidecar.istio.io/proxyCPU, proxyMemory, proxyCPULimit and proxyMemoryLimit. Unset: requests of cpu 10m and memory 64Mi,
	// and no limits.
	// +optional
	Resources *ResourcesSpec `json:"resources,omitempty"`
	// logLevel of Envoy; a pod can have its own by the annotation sidecar.istio.io/logLevel. Unset: warning.
	// +kubebuilder:validation:Enum=trace;debug;info;warning;error;critical;off
	// +optional
	LogLevel string `json:"logLevel,omitempty"`
	// concurrency is the number of Envoy's worker threads. Unset: 2.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=128
	// +optional
	Concurrency int32 `json:"concurrency,omitempty"`
}

// UninstallSpec says what deleting the Installation may remove beyond what it created. It can still be changed while the
// Installation is being deleted.
type UninstallSpec struct {
	// istioCRDs KeepIfUsed keeps the definitions of VirtualService, DestinationRule, Gateway and PeerAuthentication while
	// there are objects of them; Delete deletes them together with your objects. Unset: KeepIfUsed.
	// +kubebuilder:validation:Enum=KeepIfUsed;Delete
	// +optional
	IstioCRDs string `json:"istioCRDs,omitempty"`
	// rootCA KeepWhileUsed leaves the Secret with the root of trust behind when pods still run a sidecar, so that a mesh that
	// is installed again can go on with them; an Event names the pods. Delete deletes it in any case. Unset: KeepWhileUsed.
	// +kubebuilder:validation:Enum=KeepWhileUsed;Delete
	// +optional
	RootCA string `json:"rootCA,omitempty"`
	// data Keep leaves the PersistentVolumeClaims of components behind, and with them the namespace istio-system: a mesh that
	// is installed again uses their data. Delete deletes the claims. Unset: Keep.
	// +kubebuilder:validation:Enum=Keep;Delete
	// +optional
	Data string `json:"data,omitempty"`
}
