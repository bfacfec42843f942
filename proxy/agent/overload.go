package agent

import (
	"strconv"
	"time"
)

const (
	heapMonitor        = "envoy.resource_monitors.fixed_heap"
	connectionsMonitor = "envoy.resource_monitors.global_downstream_max_connections"

	maxConnections  = 50_000
	openConnections = 10_000  // of each open port of the bootstrap, which bypass the overload manager
	unlimitedMemory = 4 << 30 // bytes that Envoy may use when the container has no memory limit
)

// overloadManager rejects work before the kernel kills the container for its memory. Envoy's defaults have no limit.
func overloadManager(memory uint64) object {
	if memory == 0 {
		memory = unlimitedMemory
	}
	heap := memory / 10 * 8 // the rest is for the agent, stacks and code
	return object{
		"refresh_interval": duration(250 * time.Millisecond),
		"resource_monitors": []object{
			{"name": heapMonitor, "typed_config": extension("envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig", object{
				"max_heap_size_bytes": strconv.FormatUint(heap, 10),
			})},
			{"name": connectionsMonitor, "typed_config": extension("envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig", object{
				"max_active_downstream_connections": strconv.Itoa(maxConnections),
			})},
		},
		"actions": []object{
			atHeap("envoy.overload_actions.shrink_heap", 0.95),
			atHeap("envoy.overload_actions.stop_accepting_requests", 0.98),
			atHeap("envoy.overload_actions.stop_accepting_connections", 0.98),
		},
	}
}

func atHeap(action string, fraction float64) object {
	return object{
		"name":     action,
		"triggers": []object{{"name": heapMonitor, "threshold": object{"value": fraction}}},
	}
}

// hangTimeout is how long a thread of Envoy may not return to its event loop. A large configuration takes seconds.
const hangTimeout = time.Minute

// watchdogs make a hanging Envoy end itself, so that the agent starts it again. Envoy's defaults only count.
func watchdogs() object {
	kill := object{"kill_timeout": duration(hangTimeout)}
	return object{"main_thread_watchdog": kill, "worker_watchdog": kill}
}

// runtimeLayers limits the size of a route's regular expression, and the connections of the ports that bypass the overload
// manager. There is no admin layer: nobody changes the flags of a running proxy.
func runtimeLayers() object {
	return object{"layers": []object{{"name": "static", "static_layer": object{
		"re2.max_program_size.error_level":                                    32768,
		"envoy.resource_limits.listener." + healthName + ".connection_limit":  openConnections,
		"envoy.resource_limits.listener." + metricsName + ".connection_limit": openConnections,
	}}}}
}
