package v1alpha1

// JaegerSpec asks for distributed tracing. This version installs Jaeger with storage in memory: storage.type Memory.
//
// +kubebuilder:validation:XValidation:rule="!has(self.replicas) || self.replicas <= 1",message="replicas: every Jaeger keeps traces of its own in memory, so there can be one at most; write 0 or 1, or remove the field"
// +kubebuilder:validation:XValidation:rule="!has(self.autoscaling)",message="autoscaling: every Jaeger keeps traces of its own in memory, so there can be one at most; remove the field"
// +kubebuilder:validation:XValidation:rule="!has(self.storage) || !has(self.external)",message="storage: external names a tracing system that somebody else runs; remove one of storage and external"
type JaegerSpec struct {
	ComponentSpec `json:",inline"`
	// storage is where traces are kept. Unset: Jaeger is not installed.
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
	// elasticsearch_memory is the memory of the storage behind Jaeger, such as 1Gi.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	ElasticsearchMemory *Scalar `json:"elasticsearch_memory,omitempty"`
}

// JaegerStorageSpec says where traces are kept.
type JaegerStorageSpec struct {
	// type is Memory: the last 10000 traces, which a new pod starts without. Nothing else is implemented yet.
	// +kubebuilder:validation:Enum=Memory
	Type string `json:"type"`
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
