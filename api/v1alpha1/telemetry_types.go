package v1alpha1

// TelemetrySpec says what proxies report of the requests that they see.
type TelemetrySpec struct {
	// tracing makes proxies report spans, of which a tracing system makes traces. Unset: see provider.
	// +optional
	Tracing *TracingSpec `json:"tracing,omitempty"`
	// accessLog says how proxies log requests and connections. Which ones they log is said by objects of kind Telemetry.
	// +optional
	AccessLog *AccessLogSpec `json:"accessLog,omitempty"`
}

// AccessLogSpec says how proxies log requests and connections.
type AccessLogSpec struct {
	// format of the lines that proxies write to their standard output: Text or JSON. Unset: Text.
	// +kubebuilder:validation:Enum=Text;JSON
	// +optional
	Format string `json:"format,omitempty"`
	// otlpURL is where proxies send the entries too, in OpenTelemetry's format over gRPC, such as
	// http://otel-collector.observability:4317: the scheme, host and port. https is not supported yet: let a collector in the cluster
	// forward the entries. Objects of kind Telemetry call it the provider otel.
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() == 'http' && url(self).getPort() != '' && url(self).getEscapedPath() in ['', '/'] && url(self).getQuery() == {}",message="no address of a collector; write http://host:port without a path, such as http://otel-collector.observability:4317"
	// +optional
	OTLPURL string `json:"otlpURL,omitempty"`
}

// TracingSpec says which requests are traced and how spans are reported.
type TracingSpec struct {
	// provider is how proxies report spans: Zipkin (JSON over HTTP), OTLP (OpenTelemetry over gRPC) or None. The collector is the
	// installed Jaeger, or zipkinURL or otlpURL of spec.jaeger.external. Unset: Zipkin if Jaeger is installed, OTLP if external
	// gives otlpURL, Zipkin if it gives zipkinURL, else None.
	// +kubebuilder:validation:Enum=Zipkin;OTLP;None
	// +optional
	Provider string `json:"provider,omitempty"`
	// samplingPercent is how many of a hundred requests are traced, such as 100, 1 or 0.1. A proxy follows what its caller has
	// decided; this is for requests whose caller has not. Unset: 1.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=number
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	// +optional
	SamplingPercent *Scalar `json:"samplingPercent,omitempty"`
	// trustClients lets the clients of gateways decide whether their requests are traced, and continue traces of their own, by
	// the headers b3, x-b3-*, traceparent and x-client-trace-id. Unset: false, a gateway begins a new trace with every request.
	// +optional
	TrustClients *bool `json:"trustClients,omitempty"`
}

// JaegerExternalSpec is a tracing system that somebody else runs.
type JaegerExternalSpec struct {
	// zipkinURL is where spans in Zipkin's format go, such as http://zipkin.tracing:9411: the scheme, host and port; the path is
	// always /api/v2/spans. https is not supported yet: let a collector in the cluster forward the spans.
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() == 'http' && url(self).getPort() != '' && url(self).getEscapedPath() in ['', '/'] && url(self).getQuery() == {}",message="no address of a collector; write http://host:port without a path, such as http://zipkin.tracing:9411"
	// +optional
	ZipkinURL string `json:"zipkinURL,omitempty"`
	// otlpURL is where spans in OpenTelemetry's format go over gRPC, such as http://otel-collector.observability:4317: the
	// scheme, host and port. https is not supported yet: let a collector in the cluster forward the spans.
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() == 'http' && url(self).getPort() != '' && url(self).getEscapedPath() in ['', '/'] && url(self).getQuery() == {}",message="no address of a collector; write http://host:port without a path, such as http://otel-collector.observability:4317"
	// +optional
	OTLPURL string `json:"otlpURL,omitempty"`
}
