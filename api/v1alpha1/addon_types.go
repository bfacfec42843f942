package v1alpha1

import corev1 "k8s.io/api/core/v1"

// JaegerSpec asks for distributed tracing: by a Jaeger of the mesh's own, or by a tracing system that is there already (external).
//
// +kubebuilder:validation:XValidation:rule="!has(self.replicas) || self.replicas <= 1 || !has(self.storage) || self.storage.type == 'Elasticsearch'",message="replicas: with this storage every Jaeger keeps traces of its own, so there can be one at most; write 0 or 1, or remove the field"
// +kubebuilder:validation:XValidation:rule="!has(self.autoscaling) || !has(self.storage) || self.storage.type == 'Elasticsearch'",message="autoscaling: with this storage every Jaeger keeps traces of its own, so there can be one at most; remove the field"
// +kubebuilder:validation:XValidation:rule="!has(self.storage) || !has(self.external)",message="storage: external names a tracing system that somebody else runs; remove one of storage and external"
type JaegerSpec struct {
	// The settings of the collector, or of the one Jaeger that storage in memory and on a volume has.
	ComponentSpec `json:",inline"`
	// storage is where traces are kept. Unset: in Elasticsearch.
	// +optional
	Storage *JaegerStorageSpec `json:"storage,omitempty"`
	// external is a tracing system that somebody else runs; spec.telemetry.tracing says what is reported to it.
	// +optional
	External *JaegerExternalSpec `json:"external,omitempty"`
	// prefix is put before Jaeger's image names.
	// +optional
	Prefix string `json:"prefix,omitempty"`
	// version is the tag of Jaeger's images. Quote it: YAML turns 1.10 into the number 1.1.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	Version *Scalar `json:"version,omitempty"`
	// elasticsearch_memory is the memory of Elasticsearch, request and limit, such as 1Gi or 1000MB; half of it is the heap. At least
	// 512Mi. Unset: 1Gi.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	ElasticsearchMemory *Scalar `json:"elasticsearch_memory,omitempty"`
}

// JaegerStorageSpec says where traces are kept.
//
// +kubebuilder:validation:XValidation:rule="self.type != 'Memory' || !has(self.volume)",message="volume: storage in memory has none; remove it, or write type: Badger"
// +kubebuilder:validation:XValidation:rule="self.type != 'Badger' || has(self.volume)",message="volume: Badger keeps traces on a volume; write volume: {size: 10Gi}, or type: Memory"
// +kubebuilder:validation:XValidation:rule="self.type == 'Elasticsearch' || !has(self.elasticsearch)",message="elasticsearch: the storage is another one; remove it, or write type: Elasticsearch"
// +kubebuilder:validation:XValidation:rule="self.type != 'Memory' || !has(self.retentionDays)",message="retentionDays: storage in memory keeps the last 10000 traces; remove it, or write another type"
type JaegerStorageSpec struct {
	// type is Elasticsearch (StatefulSet elasticsearch, and a collector and a query service of their own), Badger (files on a volume
	// of the one Jaeger) or Memory (the last 10000 traces, which a new pod starts without).
	// +kubebuilder:validation:Enum=Elasticsearch;Badger;Memory
	// +kubebuilder:default=Elasticsearch
	// +optional
	Type string `json:"type,omitempty"`
	// volume keeps traces when the pod is replaced, in a PersistentVolumeClaim. Removing the section, or the Installation, leaves the
	// claim behind, unless spec.uninstall.data is Delete. Unset: none; a new pod of Elasticsearch starts without traces.
	// +optional
	Volume *VolumeSpec `json:"volume,omitempty"`
	// retentionDays is how long traces are kept. Unset: 7.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=3650
	// +optional
	RetentionDays *int32 `json:"retentionDays,omitempty"`
	// elasticsearch configures it.
	// +optional
	Elasticsearch *ElasticsearchSpec `json:"elasticsearch,omitempty"`
}

// ElasticsearchSpec configures the storage behind Jaeger.
//
// +kubebuilder:validation:XValidation:rule="!has(self.replicas) || self.replicas <= 1",message="replicas: this is one server, not a cluster of them; write 0 or 1, or name a cluster of yours in external"
// +kubebuilder:validation:XValidation:rule="!has(self.autoscaling)",message="autoscaling: this is one server, not a cluster of them; remove the field, or name a cluster of yours in external"
type ElasticsearchSpec struct {
	ComponentSpec `json:",inline"`
	// external is an Elasticsearch (7 or 8) or OpenSearch that somebody else runs; none is installed.
	// +optional
	External *ElasticsearchExternalSpec `json:"external,omitempty"`
}

// ElasticsearchExternalSpec is a server or cluster that somebody else runs.
type ElasticsearchExternalSpec struct {
	// url is its address, such as https://elasticsearch.logging:9200.
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[-A-Za-z0-9.:]+/?$')",message="no address of a server; write http://host:port or https://host:port, without a path"
	URL string `json:"url"`
	// secretRef names a Secret in istio-system with the keys username and password, and with ca.crt where the server's certificate
	// is not of a public authority. Unset: no password.
	// +optional
	SecretRef *corev1.LocalObjectReference `json:"secretRef,omitempty"`
}

// KialiSpec asks for the mesh's console, which this version does not install.
type KialiSpec struct {
	// username of the console's user. The console is asked for when username and password are both given.
	// +optional
	Username string `json:"username,omitempty"`
	// password of the console's user, in the clear: everybody who can read Installations can read it. This version installs no
	// console, so nothing reads it, and it is copied nowhere, not into a Secret either: a second place that can leak would
	// serve nobody. It stays in this field until you remove it.
	// +optional
	Password string `json:"password,omitempty"`
	// prefix is put before Kiali's image name.
	// +optional
	Prefix string `json:"prefix,omitempty"`
	// version is the tag of Kiali's image. Quote it: YAML turns 1.10 into the number 1.1.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	Version *Scalar `json:"version,omitempty"`
}

// LauncherSpec asks for the Fabric8 launcher by its presence; this version does not install it.
type LauncherSpec struct {
	// openshift is the account the launcher used on OpenShift.
	// +optional
	OpenShift *LauncherOpenShiftSpec `json:"openshift,omitempty"`
	// github is the account the launcher used on GitHub.
	// +optional
	GitHub *LauncherGitHubSpec `json:"github,omitempty"`
	// catalog is where the launcher found its example applications.
	// +optional
	Catalog *LauncherCatalogSpec `json:"catalog,omitempty"`
}

// LauncherOpenShiftSpec is an account on OpenShift.
type LauncherOpenShiftSpec struct {
	// user is the name of the account on OpenShift.
	// +optional
	User string `json:"user,omitempty"`
	// password of the account, in the clear: everybody who can read Installations can read it. Nothing reads it, and it is
	// copied nowhere: remove it.
	// +optional
	Password string `json:"password,omitempty"`
}

// LauncherGitHubSpec is an account on GitHub.
type LauncherGitHubSpec struct {
	// username on GitHub.
	// +optional
	Username string `json:"username,omitempty"`
	// token of the user, in the clear: everybody who can read Installations can read it. Nothing reads it, and it is copied
	// nowhere: remove it.
	// +optional
	Token string `json:"token,omitempty"`
}

// LauncherCatalogSpec is a repository of example applications.
type LauncherCatalogSpec struct {
	// filter chooses applications of the catalog.
	// +optional
	Filter string `json:"filter,omitempty"`
	// branch of the catalog's repository.
	// +optional
	Branch string `json:"branch,omitempty"`
	// repo is the catalog's repository.
	// +optional
	Repo string `json:"repo,omitempty"`
}

// ThreeScaleSpec asks for the 3scale adapter, which this version does not install.
type ThreeScaleSpec struct {
	// enabled asks for the adapter; the Installation then does not become Ready, because nothing checks requests. Unset: false.
	// +optional
	Enabled *bool `json:"enabled,omitempty"`
	// prefix is put before the adapter's image name.
	// +optional
	Prefix string `json:"prefix,omitempty"`
	// version is the tag of the adapter's image. Quote it: YAML turns 0.10 into the number 0.1.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	Version *Scalar `json:"version,omitempty"`
	// adapter configures the adapter.
	// +optional
	Adapter *ThreeScaleAdapterSpec `json:"adapter,omitempty"`
}

// ThreeScaleAdapterSpec configures the 3scale adapter.
type ThreeScaleAdapterSpec struct {
	// listenAddr is the port the adapter serves gRPC on. Unset: 3333.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65535
	// +optional
	ListenAddr *int32 `json:"listenAddr,omitempty"`
	// logLevel of the adapter: debug, info, warn, error or none. Unset: info.
	// +kubebuilder:validation:Enum=debug;info;warn;error;none
	// +optional
	LogLevel string `json:"logLevel,omitempty"`
	// logJSON writes the log as JSON. Unset: true.
	// +optional
	LogJSON *bool `json:"logJSON,omitempty"`
	// reportMetrics counts calls to 3scale. Unset: true.
	// +optional
	ReportMetrics *bool `json:"reportMetrics,omitempty"`
	// metricsPort serves the counts. Unset: 8080.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=65535
	// +optional
	MetricsPort *int32 `json:"metricsPort,omitempty"`
	// cacheTTLSeconds is how long an answer of 3scale is kept, in seconds. Unset: 300.
	// +kubebuilder:validation:Minimum=0
	// +optional
	CacheTTLSeconds *int32 `json:"cacheTTLSeconds,omitempty"`
	// cacheRefreshSeconds is how long before it expires an answer is renewed, in seconds. Unset: 180.
	// +kubebuilder:validation:Minimum=0
	// +optional
	CacheRefreshSeconds *int32 `json:"cacheRefreshSeconds,omitempty"`
	// cacheEntriesMax is the number of answers in the cache; 0 turns it off. Unset: 1000.
	// +kubebuilder:validation:Minimum=0
	// +optional
	CacheEntriesMax *int32 `json:"cacheEntriesMax,omitempty"`
	// cacheRefreshRetries is how often an unreachable host is asked again. Unset: 1.
	// +kubebuilder:validation:Minimum=0
	// +optional
	CacheRefreshRetries *int32 `json:"cacheRefreshRetries,omitempty"`
	// allowInsecureConn skips the check of 3scale's certificate. Unset: false.
	// +optional
	AllowInsecureConn *bool `json:"allowInsecureConn,omitempty"`
	// clientTimeoutSeconds is how long 3scale may take to answer, in seconds. Unset: 10.
	// +kubebuilder:validation:Minimum=0
	// +optional
	ClientTimeoutSeconds *int32 `json:"clientTimeoutSeconds,omitempty"`
}
