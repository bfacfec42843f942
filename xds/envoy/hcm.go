package envoy

import (
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const hcmFilter = "envoy.filters.network.http_connection_manager"

// hcm is the part that all HTTP connection managers have in common. Proxy and workload must interpret a path and a host
// alike, or a rule for one does not hold for the other; hence the normalisations, on every listener.
func (c *collector) hcm(kind chainKind, stat string) *hcmv3.HttpConnectionManager {
	return &hcmv3.HttpConnectionManager{
		StatPrefix:                   stat,
		CodecType:                    hcmv3.HttpConnectionManager_AUTO,
		ServerName:                   "istio-envoy",
		NormalizePath:                yes(),
		MergeSlashes:                 true,
		PathWithEscapedSlashesAction: hcmv3.HttpConnectionManager_UNESCAPE_AND_REDIRECT,
		StripTrailingHostDot:         true,
		UseRemoteAddress:             wrapperspb.Bool(false),
		InternalAddressConfig:        noInternalAddresses(),
		StreamIdleTimeout:            seconds(0), // a request has no time limit unless a route sets one
		MaxRequestHeadersKb:          wrapperspb.UInt32(meshHeadersKiB),
		HttpProtocolOptions:          http1Options(),
		Http2ProtocolOptions:         http2Options(),
		CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{
			IdleTimeout:                  seconds(3600),
			HeadersWithUnderscoresAction: corev3.HttpProtocolOptions_ALLOW,
			MaxHeadersCount:              wrapperspb.UInt32(meshHeaders),
		},
		UpgradeConfigs: []*hcmv3.HttpConnectionManager_UpgradeConfig{{UpgradeType: supportedUpgrade}},
		AccessLog:      c.accessLog(kind),
		Tracing:        c.tracing(kind),
	}
}

// noInternalAddresses makes Envoy ignore the x-envoy-* headers of clients, which set retries and timeouts. Without a range
// Envoy trusts all private addresses, which all clients behind a node port have: hence a range that no client is in.
func noInternalAddresses() *hcmv3.HttpConnectionManager_InternalAddressConfig {
	return &hcmv3.HttpConnectionManager_InternalAddressConfig{CidrRanges: []*corev3.CidrRange{
		{AddressPrefix: "0.0.0.0", PrefixLen: wrapperspb.UInt32(32)},
	}}
}

// gatewayIdleTimeout is how long both sides of an untrusted client's request or WebSocket may be idle: the streams of a client
// that never reads its response would be held for ever. A route with a timeout overrides it; see routeIdleTimeout.
const gatewayIdleTimeout = 5 * time.Minute

// routeIdleTimeout is how long requests of a route may be idle; nil leaves it to the connection manager. A route with no
// timeout, or a long one, has requests that take that long.
func routeIdleTimeout(timeout *durationpb.Duration) *durationpb.Duration {
	if timeout == nil || timeout.AsDuration() > 0 && timeout.AsDuration() <= gatewayIdleTimeout {
		return nil
	}
	return timeout
}

// faceUntrustedClients configures a connection manager for untrusted clients: it trusts none of their headers and bounds the
// memory that they can make it use.
func faceUntrustedClients(m *hcmv3.HttpConnectionManager) *hcmv3.HttpConnectionManager {
	m.UseRemoteAddress = yes()
	m.ForwardClientCertDetails = hcmv3.HttpConnectionManager_SANITIZE_SET
	m.SetCurrentClientCertDetails = clientCertDetails()
	m.HttpProtocolOptions.AcceptHttp_10 = false
	m.MaxRequestHeadersKb = wrapperspb.UInt32(gatewayHeadersKiB)
	m.CommonHttpProtocolOptions.MaxHeadersCount = wrapperspb.UInt32(gatewayHeaders)
	// Many servers take x_forwarded_client_cert for the header that was removed, as CGI once wrote it.
	m.CommonHttpProtocolOptions.HeadersWithUnderscoresAction = corev3.HttpProtocolOptions_DROP_HEADER
	m.RequestHeadersTimeout = seconds(10)
	m.StreamIdleTimeout = durationpb.New(gatewayIdleTimeout)
	m.Http2ProtocolOptions.MaxConcurrentStreams = wrapperspb.UInt32(100)
	m.Http2ProtocolOptions.InitialStreamWindowSize = wrapperspb.UInt32(64 << 10)
	m.Http2ProtocolOptions.InitialConnectionWindowSize = wrapperspb.UInt32(1 << 20)
	return m
}

// faceWorkloadClients configures a connection manager for the workload's clients: it forwards the facts of their certificate.
func faceWorkloadClients(m *hcmv3.HttpConnectionManager, mutual bool) *hcmv3.HttpConnectionManager {
	m.ForwardClientCertDetails = hcmv3.HttpConnectionManager_SANITIZE
	if mutual {
		m.ForwardClientCertDetails = hcmv3.HttpConnectionManager_APPEND_FORWARD
		m.SetCurrentClientCertDetails = clientCertDetails()
	}
	return m
}

func clientCertDetails() *hcmv3.HttpConnectionManager_SetCurrentClientCertDetails {
	return &hcmv3.HttpConnectionManager_SetCurrentClientCertDetails{Subject: yes(), Uri: true, Dns: true}
}

// withRoutes makes the connection manager fetch its routes by name (RDS).
func withRoutes(m *hcmv3.HttpConnectionManager, name string) *hcmv3.HttpConnectionManager {
	m.RouteSpecifier = &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{ConfigSource: adsSource(seconds(0)), RouteConfigName: name}}
	return m
}

// withInline sets the connection manager's routes inline.
func withInline(m *hcmv3.HttpConnectionManager, config *routev3.RouteConfiguration) *hcmv3.HttpConnectionManager {
	m.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: config}
	return m
}

func httpManagerFilter(_ *collector, context filterContext) *listenerv3.Filter {
	return &listenerv3.Filter{Name: hcmFilter, ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(context.manager)}}
}
