package envoy

import (
	"maps"
	"slices"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tracev3 "github.com/envoyproxy/go-control-plane/envoy/config/trace/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	earlyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
	detectorsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/tracers/opentelemetry/resource_detectors/v3"
	tracingv3 "github.com/envoyproxy/go-control-plane/envoy/type/tracing/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// tracingCluster is where proxies report spans to.
const tracingCluster = "tracing-collector"

// tracingClusterOf names the cluster of a provider, which for others than the mesh's default is in its name.
func tracingClusterOf(t *mesh.Tracing) string {
	if t.Provider == "" {
		return tracingCluster
	}
	return tracingCluster + "/" + t.Provider
}

// traceContextHeaders continue a trace or decide about its sampling. The workload's calls carry them on; see
// https://istio.io/latest/docs/tasks/observability/distributed-tracing/overview/.
var traceContextHeaders = []string{
	"b3", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags", "traceparent", "tracestate", "x-client-trace-id",
}

// proxyTags are span tags that the agent fills through Envoy's environment: a listener that many proxies share cannot hold
// them. Names and values are Istio's.
var proxyTags = []struct{ tag, variable string }{
	{"istio.canonical_service", "ISTIO_CANONICAL_SERVICE"},
	{"istio.canonical_revision", "ISTIO_CANONICAL_REVISION"},
	{"istio.namespace", "POD_NAMESPACE"},
	{"istio.cluster_id", "ISTIO_CLUSTER_ID"},
}

// tracing is how a connection manager reports spans; nil if it reports none. The span of a route has the name of its
// decorator. On a listener for incoming traffic it is the server's span, on others the client's.
func (c *collector) tracing(kind chainKind) *hcmv3.HttpConnectionManager_Tracing {
	reports := c.reports(kind)
	t := reports.Tracing
	if t == nil {
		return nil
	}
	return &hcmv3.HttpConnectionManager_Tracing{
		ClientSampling:  &typev3.Percent{Value: 100},
		RandomSampling:  &typev3.Percent{Value: t.Sampling},
		OverallSampling: &typev3.Percent{Value: 100},
		CustomTags:      c.spanTags(reports.SpanTags),
		Provider:        tracer(t),
	}
}

func tracer(t *mesh.Tracing) *tracev3.Tracing_Http {
	if t.Protocol == mesh.OTLP {
		return &tracev3.Tracing_Http{Name: "envoy.tracers.opentelemetry", ConfigType: &tracev3.Tracing_Http_TypedConfig{TypedConfig: pack(openTelemetry(t))}}
	}
	return &tracev3.Tracing_Http{Name: "envoy.tracers.zipkin", ConfigType: &tracev3.Tracing_Http_TypedConfig{TypedConfig: pack(&tracev3.ZipkinConfig{
		CollectorCluster:         tracingClusterOf(t),
		CollectorHostname:        t.Host,
		CollectorEndpoint:        "/api/v2/spans",
		CollectorEndpointVersion: tracev3.ZipkinConfig_HTTP_JSON,
		TraceId_128Bit:           true,
		SharedSpanContext:        wrapperspb.Bool(false), // spans of client and server have ids of their own: one tree everywhere
		TraceContextOption:       tracev3.ZipkinConfig_USE_B3_WITH_W3C_PROPAGATION,
	})}}
}

// openTelemetry takes the name of the service from the environment (OTEL_RESOURCE_ATTRIBUTES), as the Zipkin tracer takes it
// from the node's cluster. It carries on traceparent, not b3.
func openTelemetry(t *mesh.Tracing) *tracev3.OpenTelemetryConfig {
	return &tracev3.OpenTelemetryConfig{GrpcService: collectorService(tracingClusterOf(t)), ResourceDetectors: environmentResource()}
}

func collectorService(cluster string) *corev3.GrpcService {
	return &corev3.GrpcService{
		TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: cluster}},
		Timeout:         seconds(5),
	}
}

// environmentResource reads OTEL_RESOURCE_ATTRIBUTES.
func environmentResource() []*corev3.TypedExtensionConfig {
	return []*corev3.TypedExtensionConfig{{
		Name: "envoy.tracers.opentelemetry.resource_detectors.environment", TypedConfig: pack(&detectorsv3.EnvironmentResourceDetectorConfig{}),
	}}
}

func (c *collector) spanTags(more []mesh.SpanTag) []*tracingv3.CustomTag {
	tags := []*tracingv3.CustomTag{{Tag: "istio.mesh_id", Type: &tracingv3.CustomTag_Literal_{
		Literal: &tracingv3.CustomTag_Literal{Value: c.scope.Settings.TrustDomain},
	}}}
	for _, p := range proxyTags {
		tags = append(tags, &tracingv3.CustomTag{Tag: p.tag, Type: &tracingv3.CustomTag_Environment_{
			Environment: &tracingv3.CustomTag_Environment{Name: p.variable},
		}})
	}
	for _, tag := range more {
		tags = append(tags, customTag(tag))
	}
	return tags
}

func customTag(t mesh.SpanTag) *tracingv3.CustomTag {
	tag := &tracingv3.CustomTag{Tag: t.Name}
	switch t.From {
	case mesh.FromHeader:
		tag.Type = &tracingv3.CustomTag_RequestHeader{RequestHeader: &tracingv3.CustomTag_Header{Name: t.Value, DefaultValue: t.Default}}
	case mesh.FromEnvironment:
		tag.Type = &tracingv3.CustomTag_Environment_{Environment: &tracingv3.CustomTag_Environment{Name: t.Value, DefaultValue: t.Default}}
	case mesh.FromLiteral:
		tag.Type = &tracingv3.CustomTag_Literal_{Literal: &tracingv3.CustomTag_Literal{Value: t.Value}}
	}
	return tag
}

// startTraces makes a gateway begin a trace with every request: a client can neither have all of its requests traced, nor
// hide from tracing, nor add spans to the trace of somebody else. Envoy itself replaces x-request-id, which carries a
// decision too. Without tracing the headers pass, as any others do.
func (c *collector) startTraces(m *hcmv3.HttpConnectionManager) *hcmv3.HttpConnectionManager {
	if m.Tracing == nil || c.reports(gatewayServer).Tracing.TrustClients {
		return m
	}
	m.Tracing.ClientSampling = &typev3.Percent{Value: 0}
	mutation := &earlyv3.HeaderMutation{}
	for _, h := range traceContextHeaders {
		mutation.Mutations = append(mutation.Mutations, &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_Remove{Remove: h}})
	}
	m.EarlyHeaderMutationExtensions = []*corev3.TypedExtensionConfig{{
		Name: "envoy.http.early_header_mutation.header_mutation", TypedConfig: pack(mutation),
	}}
	return m
}

// tracingClusters adds the ways to the collectors of spans.
func (c *collector) tracingClusters() {
	used := map[string]*mesh.Tracing{}
	for _, t := range []*mesh.Tracing{c.scope.Telemetry.Client.Tracing, c.scope.Telemetry.Server.Tracing} {
		if t != nil {
			used[tracingClusterOf(t)] = t
		}
	}
	for _, name := range slices.Sorted(maps.Keys(used)) {
		c.collectorCluster(name, mesh.Collector{Host: used[name].Host, Port: used[name].Port}, used[name].Protocol == mesh.OTLP)
	}
}
