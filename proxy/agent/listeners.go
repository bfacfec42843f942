package agent

import (
	"net/netip"
	"slices"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	routerFilter = "envoy.filters.http.router"
	healthName   = "health"
	metricsName  = "prometheus"
)

// metricsListener lets Prometheus read one page of the admin interface.
func metricsListener(c Config) *listenerv3.Listener {
	return onePage(c, metricsName, c.Ports.Metrics, "/stats/prometheus", adminCluster)
}

// healthListener lets the kubelet ask through Envoy itself, so that the answer also says that its workers work.
func healthListener(c Config) *listenerv3.Listener {
	return onePage(c, healthName, c.Ports.Health, "/healthz/ready", agentCluster)
}

// onePage is an open port that passes GET of exactly one path on and refuses all else. It goes on answering when the proxy
// is overloaded: else the kubelet would restart the pods that have most to do.
func onePage(c Config, name string, port uint32, path, cluster string) *listenerv3.Listener {
	return &listenerv3.Listener{
		Name:                          name,
		Address:                       everyAddress(c.IPs, port),
		PerConnectionBufferLimitBytes: wrapperspb.UInt32(bufferLimit),
		BypassOverloadManager:         true,
		IgnoreGlobalConnLimit:         true,
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
			Name:       "envoy.filters.network.http_connection_manager",
			ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: typed(connectionManager(name, path, cluster))},
		}}}},
	}
}

// everyAddress is the wildcard of the pod's families.
func everyAddress(ips []netip.Addr, port uint32) *corev3.Address {
	if !slices.ContainsFunc(ips, netip.Addr.Is6) {
		return socketAddress("0.0.0.0", port)
	}
	address := socketAddress("::", port)
	address.GetSocketAddress().Ipv4Compat = true
	return address
}

func connectionManager(name, path, cluster string) *hcmv3.HttpConnectionManager {
	return &hcmv3.HttpConnectionManager{
		StatPrefix: name,
		CodecType:  hcmv3.HttpConnectionManager_HTTP1,
		// A stranger's x-envoy headers are dropped, and no spelling of a path leads past the exact match.
		UseRemoteAddress:             wrapperspb.Bool(true),
		NormalizePath:                wrapperspb.Bool(true),
		MergeSlashes:                 true,
		PathWithEscapedSlashesAction: hcmv3.HttpConnectionManager_REJECT_REQUEST,
		CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{
			IdleTimeout:                  durationpb.New(90 * time.Second),
			HeadersWithUnderscoresAction: corev3.HttpProtocolOptions_REJECT_REQUEST,
		},
		RequestHeadersTimeout: durationpb.New(10 * time.Second),
		RequestTimeout:        durationpb.New(30 * time.Second),
		StreamIdleTimeout:     durationpb.New(30 * time.Second),
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{
			Name: name,
			VirtualHosts: []*routev3.VirtualHost{{
				Name: name, Domains: []string{"*"}, Routes: []*routev3.Route{getOnly(path, cluster)},
			}},
		}},
		HttpFilters: []*hcmv3.HttpFilter{{
			Name:       routerFilter,
			ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: typed(&routerv3.Router{SuppressEnvoyHeaders: true})},
		}},
	}
}

func getOnly(path, cluster string) *routev3.Route {
	return &routev3.Route{
		Match: &routev3.RouteMatch{
			PathSpecifier: &routev3.RouteMatch_Path{Path: path},
			Headers: []*routev3.HeaderMatcher{{
				Name: ":method",
				HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: &matcherv3.StringMatcher{
					MatchPattern: &matcherv3.StringMatcher_Exact{Exact: "GET"},
				}},
			}},
		},
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{
			ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster},
			Timeout:          durationpb.New(20 * time.Second),
		}},
	}
}
