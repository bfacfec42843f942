package envoy

import (
	"slices"
	"strings"
	"sync"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	accessdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	statsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stats/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/mesh-operator/mesh-operator/internal/telemetry"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// The metrics that one Envoy holds at most; it counts what it leaves out in server.stats_overflow.*. The values of the tags
// come from pilot, the CA, response codes and flags, never from what a client writes; a workload with thousands of peers still
// reaches the limit. A histogram takes several KiB per worker thread.
const (
	maxCounters   = 8000
	maxHistograms = 3000
)

const statsLogger = "envoy.access_loggers.stats"

// proxyMetrics are the loggers of one side. They are the same for every listener of it, so they are encoded once.
type proxyMetrics struct{ http, tcp []*accesslogv3.AccessLog }

// metricsOf returns the loggers that make the metrics of a filter chain. A gateway reports as the client of the workloads
// behind it.
func (c *collector) metricsOf(kind chainKind) proxyMetrics {
	overrides := c.reports(kind).Metrics
	switch {
	case len(overrides) > 0 && kind == sidecarInbound:
		return newServerMetrics(overrides)
	case len(overrides) > 0:
		return newClientMetrics(overrides)
	case kind == sidecarInbound:
		return serverMetrics()
	}
	return clientMetrics()
}

var (
	serverMetrics = sync.OnceValue(func() proxyMetrics { return newServerMetrics(nil) })
	clientMetrics = sync.OnceValue(func() proxyMetrics { return newClientMetrics(nil) })
)

func newServerMetrics(overrides []mesh.Metric) proxyMetrics {
	return newProxyMetrics(overrides, telemetry.Destination, tag(telemetry.TagSource, "%DOWNSTREAM_PEER_SUBJECT%"),
		tag(telemetry.TagPrincipal, "%DOWNSTREAM_PEER_URI_SAN%"))
}

func newClientMetrics(overrides []mesh.Metric) proxyMetrics {
	return newProxyMetrics(overrides, telemetry.Source, tag(telemetry.TagDestination, "%UPSTREAM_METADATA(istio:workload)%"),
		tag(telemetry.TagPrincipal, "%UPSTREAM_PEER_URI_SAN%"))
}

func newProxyMetrics(overrides []mesh.Metric, reporter string, peer, principal *statsv3.Config_Tag) proxyMetrics {
	common := []*statsv3.Config_Tag{
		tag(telemetry.TagReporter, reporter), peer, principal,
		// A route without a cluster has the name itself, and no request has both.
		tag(telemetry.TagService, "%CLUSTER_METADATA(istio:host)%;%CLUSTER_METADATA(istio:name)%%METADATA(ROUTE:istio:name)%;%CLUSTER_METADATA(istio:namespace)%"),
	}
	return proxyMetrics{
		http: slices.Concat(
			metricsLogger(overrides, httpMetrics("http", common), isGRPCRequest(true)),
			metricsLogger(overrides, httpMetrics("grpc", common), isGRPCRequest(false)),
		),
		tcp: tcpMetrics(overrides, common),
	}
}

func tag(name, format string) *statsv3.Config_Tag {
	return &statsv3.Config_Tag{Name: name, ValueFormat: format}
}

func withTags(common []*statsv3.Config_Tag, more ...*statsv3.Config_Tag) []*statsv3.Config_Tag {
	return append(common[:len(common):len(common)], more...)
}

func httpMetrics(protocol string, common []*statsv3.Config_Tag) *statsv3.Config {
	response := "%RESPONSE_CODE%;%RESPONSE_FLAGS%"
	if protocol == "grpc" {
		response += ";%GRPC_STATUS_NUMBER%"
	}
	tags := withTags(common, tag(telemetry.TagProtocol, protocol), tag(telemetry.TagResponse, response))
	return &statsv3.Config{
		Counters: []*statsv3.Config_Counter{one("requests_total", tags)},
		Histograms: []*statsv3.Config_Histogram{
			histogram("request_duration_milliseconds", statsv3.Config_Histogram_Milliseconds, "%DURATION%", tags),
			histogram("request_bytes", statsv3.Config_Histogram_Bytes, "%BYTES_RECEIVED%", tags),
			histogram("response_bytes", statsv3.Config_Histogram_Bytes, "%BYTES_SENT%", tags),
		},
	}
}

// tcpMetrics counts a connection as opened when the proxy has reached the server, or when it ends without that.
func tcpMetrics(overrides []mesh.Metric, common []*statsv3.Config_Tag) []*accesslogv3.AccessLog {
	tags := withTags(common, tag(telemetry.TagProtocol, "tcp"), tag(telemetry.TagResponse, "%RESPONSE_FLAGS%"))
	opened := func() *statsv3.Config {
		return &statsv3.Config{Counters: []*statsv3.Config_Counter{one("tcp_connections_opened_total", tags)}}
	}
	ended := &statsv3.Config{Counters: []*statsv3.Config_Counter{
		one("tcp_connections_closed_total", tags),
		counter("tcp_sent_bytes_total", "%BYTES_SENT%", tags),
		counter("tcp_received_bytes_total", "%BYTES_RECEIVED%", tags),
	}}
	return slices.Concat(
		metricsLogger(overrides, opened(), logType(accessdatav3.AccessLogType_TcpUpstreamConnected)),
		metricsLogger(overrides, opened(), allFilters(logType(accessdatav3.AccessLogType_TcpConnectionEnd), neverConnected())),
		metricsLogger(overrides, ended, logType(accessdatav3.AccessLogType_TcpConnectionEnd)),
	)
}

func one(name string, tags []*statsv3.Config_Tag) *statsv3.Config_Counter {
	return &statsv3.Config_Counter{Stat: &statsv3.Config_Stat{Name: name, Tags: tags}, ValueFixed: wrapperspb.UInt64(1)}
}

func counter(name, value string, tags []*statsv3.Config_Tag) *statsv3.Config_Counter {
	return &statsv3.Config_Counter{Stat: &statsv3.Config_Stat{Name: name, Tags: tags}, ValueFormat: value}
}

func histogram(name string, unit statsv3.Config_Histogram_Unit, value string, tags []*statsv3.Config_Tag) *statsv3.Config_Histogram {
	return &statsv3.Config_Histogram{Stat: &statsv3.Config_Stat{Name: name, Tags: tags}, Unit: unit, ValueFormat: value}
}

// metricsLogger is one access logger; none if a Telemetry object disables all its metrics. All of them share a scope, so that its limits hold for the whole Envoy, and Envoy removes
// from it what was not counted for a while (the agent's bootstrap says how long).
func metricsLogger(overrides []mesh.Metric, c *statsv3.Config, filter *accesslogv3.AccessLogFilter) []*accesslogv3.AccessLog {
	for _, o := range overrides {
		overrideMetric(c, o)
	}
	if len(c.Counters)+len(c.Histograms) == 0 {
		return nil
	}
	c.StatsScope = &typev3.Scope{
		Prefix: telemetry.StatPrefix, SharingName: telemetry.StatPrefix, EnableEviction: true,
		MaxCounters: wrapperspb.UInt32(maxCounters), MaxHistograms: wrapperspb.UInt32(maxHistograms),
	}
	return []*accesslogv3.AccessLog{{Name: statsLogger, Filter: filter, ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: pack(c)}}}
}

// isGRPCRequest selects requests whose content type is one of gRPC's; inverted, all others.
func isGRPCRequest(inverted bool) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_HeaderFilter{HeaderFilter: &accesslogv3.HeaderFilter{
		Header: &routev3.HeaderMatcher{
			Name: "content-type", InvertMatch: inverted, TreatMissingHeaderAsEmpty: true,
			HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: &matcherv3.StringMatcher{
				MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: "application/grpc"},
			}},
		},
	}}}
}

func logType(types ...accessdatav3.AccessLogType) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_LogTypeFilter{
		LogTypeFilter: &accesslogv3.LogTypeFilter{Types: types},
	}}
}

// neverConnected selects connections for which the proxy did not reach a server.
func neverConnected() *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_ResponseFlagFilter{
		ResponseFlagFilter: &accesslogv3.ResponseFlagFilter{Flags: strings.Fields("UF UH UO NC NR URX")},
	}}
}

func allFilters(filters ...*accesslogv3.AccessLogFilter) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_AndFilter{AndFilter: &accesslogv3.AndFilter{Filters: filters}}}
}
