package envoy

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filelogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	streamlogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
)

// accessLogFormat is one line per request or connection. It begins with who called and who answered, as the certificates
// of the connection prove it; a dash means that nothing was proven. What the proxy knows itself comes next, and last what
// clients write: Envoy does not escape it, so a quote in it may end a field, but none can come before those that are proven.
const accessLogFormat = `[%START_TIME%] peer=%DOWNSTREAM_PEER_URI_SAN% local=%DOWNSTREAM_LOCAL_URI_SAN% tls=%DOWNSTREAM_TLS_VERSION% ` +
	`%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% bytes=%BYTES_RECEIVED%/%BYTES_SENT% duration=%DURATION%ms ` +
	`to=%DOWNSTREAM_LOCAL_ADDRESS% upstream=%UPSTREAM_HOST% cluster=%UPSTREAM_CLUSTER% route="%ROUTE_NAME%" ` +
	`from=%DOWNSTREAM_REMOTE_ADDRESS% "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" ` +
	`host="%REQ(:AUTHORITY)%" agent="%REQ(USER-AGENT)%" id="%REQ(X-REQUEST-ID)%" sni="%REQUESTED_SERVER_NAME%"` + "\n"

// accessLog logs where the mesh's configuration says, if it does.
func (c *collector) accessLog() []*accesslogv3.AccessLog {
	format := &corev3.SubstitutionFormatString{Format: &corev3.SubstitutionFormatString_TextFormatSource{
		TextFormatSource: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: accessLogFormat}},
	}}
	switch path := c.scope.Settings.AccessLogFile; path {
	case "":
		return nil
	case "/dev/stdout": // written to the descriptor: a proxy that is not root may not open the file
		return []*accesslogv3.AccessLog{{Name: "envoy.access_loggers.stdout", ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: pack(
			&streamlogv3.StdoutAccessLog{AccessLogFormat: &streamlogv3.StdoutAccessLog_LogFormat{LogFormat: format}},
		)}}}
	default:
		return []*accesslogv3.AccessLog{{Name: "envoy.access_loggers.file", ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: pack(
			&filelogv3.FileAccessLog{Path: path, AccessLogFormat: &filelogv3.FileAccessLog_LogFormat{LogFormat: format}},
		)}}}
	}
}

// refusals keeps, of what a listener logs, the connections that no filter chain takes: plaintext to a strict port is one.
func refusals(logs []*accesslogv3.AccessLog) []*accesslogv3.AccessLog {
	for _, l := range logs {
		l.Filter = &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_ResponseFlagFilter{
			ResponseFlagFilter: &accesslogv3.ResponseFlagFilter{Flags: []string{"NR"}},
		}}
	}
	return logs
}
