package envoy

import (
	"maps"
	"slices"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	otlpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/open_telemetry/v3"
	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// collectorLog sends entries over OTLP (opentelemetry.proto.collector.logs.v1.LogsService/Export, gRPC): the fields of the JSON format
// as attributes, with the side that reports, and a body for people. The resource has the service's name as that of spans has it, from the environment.
func collectorLog(provider, reporter string) *accesslogv3.AccessLog {
	attributes := &commonv1.KeyValueList{Values: []*commonv1.KeyValue{{Key: "reporter", Value: otlpText(reporter)}}}
	for _, name := range slices.Sorted(maps.Keys(accessLogFields)) {
		attributes.Values = append(attributes.Values, &commonv1.KeyValue{Key: name, Value: otlpText(accessLogFields[name])})
	}
	return &accesslogv3.AccessLog{Name: "envoy.access_loggers.open_telemetry", ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: pack(
		&otlpv3.OpenTelemetryAccessLogConfig{
			LogName:           "access_log",
			GrpcService:       collectorService(logCluster(provider)),
			Body:              otlpText("%REQ(:METHOD)% " + loggedPath + " %PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS%"),
			Attributes:        attributes,
			ResourceDetectors: environmentResource(),
		},
	)}}
}

func otlpText(text string) *commonv1.AnyValue {
	return &commonv1.AnyValue{Value: &commonv1.AnyValue_StringValue{StringValue: text}}
}

// logCluster is where proxies send the entries of a provider.
func logCluster(provider string) string { return "access-log-collector/" + provider }

// logClusters adds the ways to the collectors of log entries.
func (c *collector) logClusters() {
	used := map[string]*mesh.Collector{}
	for _, l := range slices.Concat(c.scope.Telemetry.Client.AccessLogs, c.scope.Telemetry.Server.AccessLogs) {
		if l.Collector != nil {
			used[logCluster(l.Provider)] = l.Collector
		}
	}
	for _, name := range slices.Sorted(maps.Keys(used)) {
		c.collectorCluster(name, *used[name], true)
	}
}
