package envoy

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	accessdatav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	filelogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	celv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/filters/cel/v3"
	streamlogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/mesh-operator/mesh-operator/internal/telemetry"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// loggedPath is the path that the client asked for without its query: queries hold tokens. No header is logged that holds a secret
// either (authorization, cookie, referer).
const loggedPath = "%PATH(NQ:ORIG_OR_PATH)%"

// accessLogFormat is one line per request or connection. It begins with the identities of client and server, as the
// certificates of the connection prove them; a dash means that none was proven. The proxy's own facts come next, and last
// the text of clients: Envoy does not escape it, so a quote in it may end a field, but no field before it is affected.
const accessLogFormat = `[%START_TIME%] peer=%DOWNSTREAM_PEER_URI_SAN% local=%DOWNSTREAM_LOCAL_URI_SAN% tls=%DOWNSTREAM_TLS_VERSION% ` +
	`%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% bytes=%BYTES_RECEIVED%/%BYTES_SENT% duration=%DURATION%ms ` +
	`to=%DOWNSTREAM_LOCAL_ADDRESS% upstream=%UPSTREAM_HOST% cluster=%UPSTREAM_CLUSTER% route="%ROUTE_NAME%" ` +
	`from=%DOWNSTREAM_REMOTE_ADDRESS% "%REQ(:METHOD)% ` + loggedPath + ` %PROTOCOL%" ` +
	`host="%REQ(:AUTHORITY)%" agent="%REQ(USER-AGENT)%" id="%REQ(X-REQUEST-ID)%" sni="%REQUESTED_SERVER_NAME%"` + "\n"

// accessLogFields are those of an entry in JSON. Where Istio's format has the fact too, the name is Istio's; see
// https://istio.io/latest/docs/tasks/observability/logs/access-log/. Envoy escapes the values.
var accessLogFields = map[string]string{
	"start_time": "%START_TIME%", "duration": "%DURATION%",
	"downstream_peer_uri_san": "%DOWNSTREAM_PEER_URI_SAN%", "downstream_local_uri_san": "%DOWNSTREAM_LOCAL_URI_SAN%",
	"downstream_tls_version": "%DOWNSTREAM_TLS_VERSION%",
	"response_code":          "%RESPONSE_CODE%", "response_flags": "%RESPONSE_FLAGS%", "response_code_details": "%RESPONSE_CODE_DETAILS%",
	"bytes_received": "%BYTES_RECEIVED%", "bytes_sent": "%BYTES_SENT%",
	"downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%", "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
	"upstream_host": "%UPSTREAM_HOST%", "upstream_cluster": "%UPSTREAM_CLUSTER%", "route_name": "%ROUTE_NAME%",
	"method": "%REQ(:METHOD)%", "path": loggedPath, "protocol": "%PROTOCOL%", "authority": "%REQ(:AUTHORITY)%",
	"user_agent": "%REQ(USER-AGENT)%", "request_id": "%REQ(X-REQUEST-ID)%", "requested_server_name": "%REQUESTED_SERVER_NAME%",
}

// reports is what the proxy reports of the traffic of a filter chain.
func (c *collector) reports(kind chainKind) mesh.Reports {
	if kind == sidecarInbound {
		return c.scope.Telemetry.Server
	}
	return c.scope.Telemetry.Client
}

// accessLog returns the loggers of a filter chain, one for each provider.
func (c *collector) accessLog(kind chainKind) (logs []*accesslogv3.AccessLog) {
	reporter := telemetry.Source
	if kind == sidecarInbound {
		reporter = telemetry.Destination
	}
	for _, l := range c.reports(kind).AccessLogs {
		log := collectorLog(l.Provider, reporter)
		if l.Collector == nil {
			log = fileLog(l.Path, logFormat(l.JSON))
		}
		if l.Filter != "" {
			log.Filter = celFilter(l.Filter)
		}
		logs = append(logs, log)
	}
	return logs
}

func logFormat(json bool) *corev3.SubstitutionFormatString {
	if !json {
		return &corev3.SubstitutionFormatString{Format: &corev3.SubstitutionFormatString_TextFormatSource{
			TextFormatSource: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: accessLogFormat}},
		}}
	}
	fields := map[string]*structpb.Value{}
	for name, format := range accessLogFields {
		fields[name] = structpb.NewStringValue(format)
	}
	return &corev3.SubstitutionFormatString{Format: &corev3.SubstitutionFormatString_JsonFormat{JsonFormat: &structpb.Struct{Fields: fields}}}
}

func fileLog(path string, format *corev3.SubstitutionFormatString) *accesslogv3.AccessLog {
	if path == "/dev/stdout" { // written to the descriptor: a proxy that is not root may not open the file
		return &accesslogv3.AccessLog{Name: "envoy.access_loggers.stdout", ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: pack(
			&streamlogv3.StdoutAccessLog{AccessLogFormat: &streamlogv3.StdoutAccessLog_LogFormat{LogFormat: format}},
		)}}
	}
	return &accesslogv3.AccessLog{Name: "envoy.access_loggers.file", ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: pack(
		&filelogv3.FileAccessLog{Path: path, AccessLogFormat: &filelogv3.FileAccessLog_LogFormat{LogFormat: format}},
	)}}
}

// celFilter selects what an expression is true for; where it reads an attribute that is missing, it is false.
func celFilter(expression string) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_ExtensionFilter{ExtensionFilter: &accesslogv3.ExtensionFilter{
		Name:       "envoy.access_loggers.extension_filters.cel",
		ConfigType: &accesslogv3.ExtensionFilter_TypedConfig{TypedConfig: pack(&celv3.ExpressionFilter{Expression: expression})},
	}}}
}

// refusals selects the connections that match no filter chain, such as plaintext to a strict port.
func refusals(logs []*accesslogv3.AccessLog) []*accesslogv3.AccessLog {
	for _, l := range logs {
		l.Filter = and(&accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_ResponseFlagFilter{
			ResponseFlagFilter: &accesslogv3.ResponseFlagFilter{Flags: []string{"NR"}},
		}}, l.Filter)
	}
	return logs
}

// connectionEnds leaves out what the metrics need beside: the entry of a connection that has just been opened.
func connectionEnds(logs []*accesslogv3.AccessLog) []*accesslogv3.AccessLog {
	for _, l := range logs {
		l.Filter = and(logType(accessdatav3.AccessLogType_TcpConnectionEnd), l.Filter)
	}
	return logs
}

// and adds a filter to another one, which may be nil.
func and(first, second *accesslogv3.AccessLogFilter) *accesslogv3.AccessLogFilter {
	if second == nil {
		return first
	}
	return allFilters(first, second)
}
