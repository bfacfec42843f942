package agent

import (
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	overloadv3 "github.com/envoyproxy/go-control-plane/envoy/config/overload/v3"
	connectionsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/downstream_connections/v3"
	heapv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/fixed_heap/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
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
