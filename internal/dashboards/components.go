package dashboards

import "fmt"

// process is the row about the pods of a component of the control plane.
func process(component string) Row {
	match := fmt.Sprintf("job=%q, component=%q", "istio-control-plane", component)
	series := func(name string) string { return name + "{" + match + "}" }
	return Row{Title: "Pods", Panels: []Panel{
		{Title: "Pods that answer", Type: value, Unit: count, Width: 4, Thresholds: []Threshold{{"red", 0}, {"green", 1}}, Queries: one(sum(series("up")), "pods")},
		{Title: "Memory", Description: "Resident memory, and what the Go heap holds of it.", Type: graph, Unit: bytes, Width: 7,
			Queries: []Query{{series("process_resident_memory_bytes"), "{{pod}} resident"}, {series("go_memstats_heap_inuse_bytes"), "{{pod}} heap"}}},
		{Title: "CPU", Description: "Processor cores in use.", Type: graph, Unit: cores, Width: 7, Queries: one(rate("process_cpu_seconds_total", match), "{{pod}}")},
		{Title: "Goroutines", Type: graph, Unit: count, Width: 6, Queries: one(series("go_goroutines"), "{{pod}}")},
	}}
}

// galley shows what galley validates.
func galley() Dashboard {
	return Dashboard{
		UID: "istio-galley", Title: "Istio Galley Dashboard", Description: "Validation of Istio's configuration.",
		Rows: []Row{
			{Title: "Validation", Panels: []Panel{
				{Title: "Version", Type: value, Unit: count, Width: 4, Queries: one(`sum by (tag) (istio_build{component="galley"})`, "{{tag}}")},
				{Title: "Admitted", Description: "Objects since galley started.", Type: value, Unit: count, Width: 4, Queries: one(sum("galley_validation_passed"), "admitted")},
				{Title: "Refused", Description: "Objects since galley started. Their writers got the reason.", Type: value, Unit: count, Width: 4, Empty: noRefusal, Queries: one(sum("galley_validation_failed"), "refused")},
				{Title: "Admitted, by kind", Type: graph, Unit: opsPerSecond, Width: 12, Queries: one(sum(rate("galley_validation_passed", ""), "kind"), "{{kind}}")},
				{Title: "Refused, by kind", Type: graph, Unit: opsPerSecond, Width: 12, Empty: noRefusal, Queries: one(sum(rate("galley_validation_failed", ""), "kind"), "{{kind}}")},
			}},
			process("galley"),
		},
	}
}

// pilot shows what pilot reads and sends.
func pilot() Dashboard {
	return Dashboard{
		UID: "istio-pilot", Title: "Istio Pilot Dashboard", Description: "What pilot reads from Kubernetes and sends to proxies.",
		Rows: []Row{
			{Title: "State", Panels: []Panel{
				{Title: "Version", Type: value, Unit: count, Width: 4, Queries: one(sum("pilot_info", "version"), "{{version}}")},
				{Title: "Connected proxies", Type: value, Unit: count, Width: 5, Queries: one(sum("pilot_xds"), "proxies")},
				{Title: "Proxies without the newest configuration", Type: value, Unit: count, Width: 5, Thresholds: []Threshold{{"green", 0}, {"orange", 1}}, Queries: one("mesh:proxies:pods - mesh:proxies:synced", "proxies")},
				{Title: "Services", Type: value, Unit: count, Width: 5, Queries: one("max(pilot_services)", "services")},
				{Title: "Internal errors", Description: "Panics that pilot recovered from.", Type: value, Unit: count, Width: 5, Thresholds: []Threshold{{"green", 0}, {"red", 1}}, Queries: one(sum("pilot_total_xds_internal_errors"), "errors")},
			}},
			{Title: "Pushes", Panels: []Panel{
				{Title: "Responses to proxies, by type", Type: graph, Unit: opsPerSecond, Width: 12, Queries: one(sum(rate("pilot_xds_pushes", ""), "type"), "{{type}}")},
				{Title: "Time from a change to the proxies", Description: "From a new configuration to the last response of it.", Type: graph, Unit: seconds, Width: 12, Thresholds: shortTime(1, 10),
					Empty: "it has data only while something changes", Queries: percentiles("pilot_proxy_convergence_time", "")},
				{Title: "Time to compute a push", Type: graph, Unit: seconds, Width: 12, Thresholds: shortTime(1, 10), Empty: "it has data only while something changes", Queries: percentiles("pilot_xds_push_time", "")},
				{Title: "Rejected by proxies, by type", Description: "A proxy keeps its last good configuration; pilot's log names the object.", Type: graph, Unit: count, Width: 12, Empty: noRefusal,
					Queries: one(sum("pilot_total_xds_rejects", "type"), "{{type}}")},
				{Title: "Streams refused, by reason", Type: graph, Unit: count, Width: 12, Empty: noRefusal, Queries: one(sum("pilot_xds_refused_streams", "code"), "{{code}}")},
			}},
			{Title: "Changes in Kubernetes", Panels: []Panel{
				{Title: "Istio's kinds", Type: graph, Unit: opsPerSecond, Width: 12, Queries: one(sum(rate("pilot_k8s_cfg_events", ""), "type", "event"), "{{type}} {{event}}")},
				{Title: "Services, endpoints, pods", Type: graph, Unit: opsPerSecond, Width: 12, Queries: one(sum(rate("pilot_k8s_reg_events", ""), "type", "event"), "{{type}} {{event}}")},
			}},
			process("pilot"),
		},
	}
}

// performance shows what the mesh costs.
func performance() Dashboard {
	const proxies = `job="istio-proxies"`
	const control = `job="istio-control-plane"`
	return Dashboard{
		UID: "istio-performance", Title: "Istio Performance Dashboard", Description: "What the mesh costs: memory and processors of the control plane, memory and connections of the proxies.",
		Rows: []Row{
			{Title: "Control plane", Panels: []Panel{
				{Title: "CPU", Description: "Processor cores in use.", Type: graph, Unit: cores, Width: 12, Queries: one(sum(rate("process_cpu_seconds_total", control), "component"), "{{component}}")},
				{Title: "Memory", Description: "Resident memory.", Type: graph, Unit: bytes, Width: 12, Queries: one(sum("process_resident_memory_bytes{"+control+"}", "component"), "{{component}}")},
				{Title: "CPU of pilot for 1000 requests a second", Description: "Pilot is not in the path of requests: it should not grow with them.", Type: graph, Unit: cores, Width: 12,
					Queries: one(sum(rate("process_cpu_seconds_total", control+`, component="pilot"`))+" / ("+sum(rate("istio_requests_total", `reporter="destination"`))+" / 1000)", "cores")},
				{Title: "Open files", Type: graph, Unit: count, Width: 12, Queries: one(sum("process_open_fds{"+control+"}", "component"), "{{component}}")},
			}},
			{Title: "Proxies", Panels: []Panel{
				{Title: "Memory of Envoy, by workload", Description: "Allocated, the mean of its pods.", Type: graph, Unit: bytes, Width: 12, Queries: one("avg by (namespace, app) (envoy_server_memory_allocated{"+proxies+"})", "{{app}}.{{namespace}}")},
				{Title: "Connections, by workload", Type: graph, Unit: count, Width: 12, Queries: one(sum("envoy_server_total_connections{"+proxies+"}", "namespace", "app"), "{{app}}.{{namespace}}")},
				{Title: "Requests, by workload", Type: graph, Unit: perSecond, Width: 12, Queries: one(sum(rate("istio_requests_total", `reporter="destination"`), "destination_workload", "destination_workload_namespace"), "{{destination_workload}}.{{destination_workload_namespace}}")},
				{Title: "Restarts of Envoy", Description: "Proxies whose Envoy runs for less than five minutes.", Type: graph, Unit: count, Width: 12, Queries: one("count(envoy_server_uptime{"+proxies+"} < 300) or vector(0)", "proxies")},
			}},
		},
	}
}

// mixer shows what Mixer was for: the telemetry that now comes from the proxies themselves.
func mixer() Dashboard {
	const proxies = `job="istio-proxies"`
	return Dashboard{
		UID: "istio-mixer", Title: "Istio Mixer Dashboard", Description: "Telemetry of the proxies, which Mixer collected in older meshes.",
		Rows: []Row{
			{Title: "Telemetry", Panels: []Panel{
				{Title: "Where Mixer is", Type: text, Width: 24,
					Text: "There is no Mixer in the path of requests any more: every proxy counts its own requests, and Prometheus collects the counts. These panels show whether that works."},
				{Title: "Requests counted, by side", Description: "A request is counted by the proxy of the client (source) and of the server (destination).", Type: graph, Unit: perSecond, Width: 12,
					Queries: one(sum(rate("istio_requests_total", ""), "reporter"), "{{reporter}}")},
				{Title: "Requests counted, by response", Type: graph, Unit: perSecond, Width: 12, Queries: one(sum(rate("istio_requests_total", `reporter="destination"`), "response_code"), "{{response_code}}")},
				{Title: "Series of request metrics", Description: "What Prometheus holds of them.", Type: value, Unit: count, Width: 8, Queries: one("count(istio_requests_total)", "series")},
				{Title: "Proxies that answer Prometheus", Type: value, Unit: count, Width: 8, Thresholds: []Threshold{{"red", 0}, {"green", 1}}, Queries: one("sum(up{"+proxies+"})", "proxies")},
				{Title: "Failed scrapes of the application or of Envoy", Description: "By the agent, since it started.", Type: value, Unit: count, Width: 8, Thresholds: []Threshold{{"green", 0}, {"red", 1}},
					Empty: noRefusal, Queries: one(sum("istio_agent_scrape_failures_total"), "scrapes")},
			}},
		},
	}
}
