package agent

import (
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/config/metrics/v3"
	overloadv3 "github.com/envoyproxy/go-control-plane/envoy/config/overload/v3"
	connectionsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/downstream_connections/v3"
	heapv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/fixed_heap/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	heapMonitor        = "envoy.resource_monitors.fixed_heap"
	connectionsMonitor = "envoy.resource_monitors.global_downstream_max_connections"

	maxConnections  = 50_000
	openConnections = 10_000  // of each port that strangers reach and that the limits above leave out
	unlimitedMemory = 4 << 30 // what Envoy may take where nothing says how much there is
)

// overloadManager refuses work before the kernel kills the whole container for its memory. Envoy's own defaults have no
// limit at all.
func overloadManager(memory uint64) *overloadv3.OverloadManager {
	if memory == 0 {
		memory = unlimitedMemory
	}
	heap := memory / 10 * 8 // the rest is for the agent, stacks and code
	return &overloadv3.OverloadManager{
		RefreshInterval: durationpb.New(250 * time.Millisecond),
		ResourceMonitors: []*overloadv3.ResourceMonitor{
			{Name: heapMonitor, ConfigType: &overloadv3.ResourceMonitor_TypedConfig{
				TypedConfig: typed(&heapv3.FixedHeapConfig{MaxHeapSizeBytes: heap}),
			}},
			{Name: connectionsMonitor, ConfigType: &overloadv3.ResourceMonitor_TypedConfig{
				TypedConfig: typed(&connectionsv3.DownstreamConnectionsConfig{MaxActiveDownstreamConnections: maxConnections}),
			}},
		},
		Actions: []*overloadv3.OverloadAction{
			atHeap("envoy.overload_actions.shrink_heap", 0.95),
			atHeap("envoy.overload_actions.stop_accepting_requests", 0.98),
			atHeap("envoy.overload_actions.stop_accepting_connections", 0.98),
		},
	}
}

func atHeap(action string, share float64) *overloadv3.OverloadAction {
	return &overloadv3.OverloadAction{
		Name: action,
		Triggers: []*overloadv3.Trigger{{
			Name:         heapMonitor,
			TriggerOneof: &overloadv3.Trigger_Threshold{Threshold: &overloadv3.ThresholdTrigger{Value: share}},
		}},
	}
}

// runtimeLayers bounds what a regular expression of a route may cost, and the connections of the ports that go on answering
// when the proxy is overloaded. There is no admin layer: nobody changes a running proxy's flags.
func runtimeLayers() *bootstrapv3.LayeredRuntime {
	static := &structpb.Struct{Fields: map[string]*structpb.Value{
		"re2.max_program_size.error_level":                                    structpb.NewNumberValue(32768),
		"envoy.resource_limits.listener." + healthName + ".connection_limit":  structpb.NewNumberValue(openConnections),
		"envoy.resource_limits.listener." + metricsName + ".connection_limit": structpb.NewNumberValue(openConnections),
	}}
	return &bootstrapv3.LayeredRuntime{Layers: []*bootstrapv3.RuntimeLayer{{
		Name: "static", LayerSpecifier: &bootstrapv3.RuntimeLayer_StaticLayer{StaticLayer: static},
	}}}
}

// statsConfig makes labels of the parts of Envoy's stat names that differ from service to service. Envoy's default rules
// end a cluster's name at its first dot, which is in the middle of a host name; these end it where a known stat begins.
func statsConfig() *metricsv3.StatsConfig {
	tag := func(name, regex string) *metricsv3.TagSpecifier {
		return &metricsv3.TagSpecifier{TagName: name, TagValue: &metricsv3.TagSpecifier_Regex{Regex: regex}}
	}
	return &metricsv3.StatsConfig{
		UseAllDefaultTags: wrapperspb.Bool(false),
		StatsTags: []*metricsv3.TagSpecifier{
			tag("cluster_name", `^cluster\.((.+?\.svc\.cluster\.local|.+?)\.)(?:`+clusterStats+`)`),
			tag("http_conn_manager_prefix", `^http\.((.+?)\.)(?:downstream_|rds\.|no_|passthrough_|rq_|tracing\.|user_agent\.)`),
			tag("tcp_prefix", `^tcp\.((.+?)\.)(?:downstream_|idle_|max_|early_data|on_demand_|upstream_)`),
			tag("listener_address", `^listener\.((.+?)\.)(?:`+listenerStats+`)`),
			tag("response_code", `\.(?:down|up)stream_rq(_([0-9]{3}))$`),
			tag("response_code_class", `\.(?:down|up)stream_rq_(([0-9]))xx$`),
		},
	}
}

// What may follow a name. Words that are also parts of host names count only with what follows them.
const (
	clusterStats = `assignment_|bind_errors$|circuit_breakers\.|(?:canary|external|internal)\.upstream_rq|client_ssl_socket_factory\.|` +
		`default\.total_match_count|health_check\.|http[123]\.[a-z0-9_]+$|init_fetch_timeout|lb_|max_host_weight$|membership_|` +
		`original_dst_host_invalid|outlier_detection\.|retry_or_shadow_abandoned|ssl\.(?:handshake$|connection_error$|certificate\.|ciphers\.|curves\.|sigalgs\.|versions\.|[a-z]+_)|tls_|update_|upstream_|version$|` +
		`version_text$|warming_state$`
	listenerStats = `connections_accepted_|downstream_|extension_config_missing|global_|http\.|no_certificate|no_filter_chain_match|` +
		`ssl\.|server_ssl_socket_factory\.|worker_`
)
