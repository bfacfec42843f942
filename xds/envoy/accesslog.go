package envoy

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filelogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	streamlogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"
)

// accessLogFormat is one line per request or connection. It begins with the identities of client and server, as the
// certificates of the connection prove them; a dash means that none was proven. The proxy's own facts come next, and last
// the text of clients: Envoy does not escape it, so a quote in it may end a field, but no field before it is affected.
const accessLogFormat = `[%START_TIME%] peer=%DOWNSTREAM_PEER_URI_SAN% local=%DOWNSTREAM_LOCAL_URI_SAN% tls=%DOWNSTREAM_TLS_VERSION% ` +
	`%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% bytes=%BYTES_RECEIVED%/%BYTES_SENT% duration=%DURATION%ms ` +
	`to=%DOWNSTREAM_LOCAL_ADDRESS% upstream=%UPSTREAM_HOST% cluster=%UPSTREAM_CLUSTER% route="%ROUTE_NAME%" ` +
	`from=%DOWNSTREAM_REMOTE_ADDRESS% "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" ` +
	`host="%REQ(:AUTHORITY)%" agent="%REQ(USER-AGENT)%" id="%REQ(X-REQUEST-ID)%" sni="%REQUESTED_SERVER_NAME%"` + "\n"

// accessLog logs to the file that the mesh's configuration names, if any.
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

// refusals selects the connections that match no filter chain, such as plaintext to a strict port.
func refusals(logs []*accesslogv3.AccessLog) []*accesslogv3.AccessLog {
	for _, l := range logs {
		l.Filter = &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_ResponseFlagFilter{
			ResponseFlagFilter: &accesslogv3.ResponseFlagFilter{Flags: []string{"NR"}},
		}}
	}
	return logs
}
