package dashboards

// workload shows what one workload serves, and what it calls.
func workload() Dashboard {
	const (
		in  = `reporter="destination", destination_workload="$workload", destination_workload_namespace="$namespace"`
		out = `reporter="source", source_workload="$workload", source_workload_namespace="$namespace"`
	)
	return Dashboard{
		UID: "istio-workload", Title: "Istio Workload Dashboard", Description: "One workload: what it serves, and what it calls.",
		Variables: []Variable{
			{"namespace", "Namespace", `label_values(istio_requests_total{reporter="destination"}, destination_workload_namespace)`},
			{"workload", "Workload", `label_values(istio_requests_total{reporter="destination", destination_workload_namespace="$namespace"}, destination_workload)`},
		},
		Rows: []Row{
			{Title: "$workload of $namespace", Panels: summary("Received: ", in)},
			{Title: "Received, by client", Panels: []Panel{
				{Title: "Requests by client and response", Description: "With the protection of the connection.", Type: graph, Unit: perSecond, Width: 12,
					Queries: one(sum(rate("istio_requests_total", in), "source_workload", "source_workload_namespace", "response_code", "connection_security_policy"),
						"{{source_workload}}.{{source_workload_namespace}} {{response_code}} {{connection_security_policy}}")},
				{Title: "Duration by client, 95th percentile", Type: graph, Unit: milliseconds, Width: 12,
					Queries: one(percentile(0.95, "istio_request_duration_milliseconds", in, "source_workload", "source_workload_namespace"), "{{source_workload}}.{{source_workload_namespace}}")},
				{Title: "Bytes of requests, 95th percentile", Type: graph, Unit: bytes, Width: 12, Queries: one(percentile(0.95, "istio_request_bytes", in, "source_workload"), "{{source_workload}}")},
				{Title: "Bytes of responses, 95th percentile", Type: graph, Unit: bytes, Width: 12, Queries: one(percentile(0.95, "istio_response_bytes", in, "source_workload"), "{{source_workload}}")},
			}},
			{Title: "Sent, by service", Panels: []Panel{
				{Title: "Services that it calls", Type: table, Width: 24, Empty: "it has data only of workloads that call others",
					Queries: []Query{
						{sum(rate("istio_requests_total", out), "destination_service"), "requests"},
						{percentile(0.99, "istio_request_duration_milliseconds", out, "destination_service"), "p99"},
						{succeeded(out, "destination_service"), "success"},
					},
					Columns: []Column{
						{Name: "destination_service", Title: "Service", Link: serviceLink}, {Name: "requests", Title: "Requests", Unit: perSecond},
						{Name: "p99", Title: "P99", Unit: milliseconds, Thresholds: shortTime(500, 2000)}, {Name: "success", Title: "Success", Unit: share, Thresholds: wholeShare},
					}},
				{Title: "Requests by service and response", Type: graph, Unit: perSecond, Width: 12, Empty: "it has data only of workloads that call others",
					Queries: one(sum(rate("istio_requests_total", out), "destination_service", "response_code"), "{{destination_service}} {{response_code}}")},
				{Title: "Duration by service, 95th percentile", Type: graph, Unit: milliseconds, Width: 12, Empty: "it has data only of workloads that call others",
					Queries: one(percentile(0.95, "istio_request_duration_milliseconds", out, "destination_service"), "{{destination_service}}")},
			}},
			tcp(in, "source_workload", "source_workload_namespace"),
		},
	}
}
