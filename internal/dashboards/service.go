package dashboards

// service shows one service as its clients and as its servers see it.
func service() Dashboard {
	const (
		chosen  = `destination_service="$service"`
		clients = `reporter="source", ` + chosen
		servers = `reporter="destination", ` + chosen
	)
	byWorkload := []string{"destination_workload", "destination_workload_namespace"}
	return Dashboard{
		UID: "istio-service", Title: "Istio Service Dashboard", Description: "One service: what its clients and its servers count. Click on a workload to see more of it.",
		Variables: []Variable{{"service", "Service", `label_values(istio_requests_total{reporter="destination"}, destination_service)`}},
		Rows: []Row{
			{Title: "$service", Panels: append(summary("Clients: ", clients), summary("Servers: ", servers)...)},
			{Title: "Workloads of the service", Panels: []Panel{
				{Title: "Workloads", Type: table, Width: 24,
					Queries: []Query{
						{sum(rate("istio_requests_total", servers), byWorkload...), "requests"},
						{percentile(0.99, "istio_request_duration_milliseconds", servers, byWorkload...), "p99"},
						{succeeded(servers, byWorkload...), "success"},
					},
					Columns: append(destinationColumns()[1:], Column{Name: "requests", Title: "Requests", Unit: perSecond},
						Column{Name: "p99", Title: "P99", Unit: milliseconds, Thresholds: shortTime(500, 2000)}, Column{Name: "success", Title: "Success", Unit: share, Thresholds: wholeShare})},
				{Title: "Requests by workload and response", Type: graph, Unit: perSecond, Width: 12,
					Queries: one(sum(rate("istio_requests_total", servers), append(byWorkload, "response_code")...), "{{destination_workload}}.{{destination_workload_namespace}} {{response_code}}")},
				{Title: "Duration by workload, 95th percentile", Type: graph, Unit: milliseconds, Width: 12,
					Queries: one(percentile(0.95, "istio_request_duration_milliseconds", servers, byWorkload...), "{{destination_workload}}.{{destination_workload_namespace}}")},
			}},
			{Title: "Clients of the service", Panels: []Panel{
				{Title: "Requests by client and response", Description: "With the protection of the connection.", Type: graph, Unit: perSecond, Width: 12,
					Queries: one(sum(rate("istio_requests_total", servers), "source_workload", "source_workload_namespace", "response_code", "connection_security_policy"),
						"{{source_workload}}.{{source_workload_namespace}} {{response_code}} {{connection_security_policy}}")},
				{Title: "Success by client", Type: graph, Unit: share, Width: 12, Thresholds: wholeShare,
					Queries: one(succeeded(servers, "source_workload", "source_workload_namespace"), "{{source_workload}}.{{source_workload_namespace}}")},
				{Title: "Bytes of requests, 95th percentile", Type: graph, Unit: bytes, Width: 12,
					Queries: one(percentile(0.95, "istio_request_bytes", servers, "source_workload", "source_workload_namespace"), "{{source_workload}}.{{source_workload_namespace}}")},
				{Title: "Bytes of responses, 95th percentile", Type: graph, Unit: bytes, Width: 12,
					Queries: one(percentile(0.95, "istio_response_bytes", servers, "source_workload", "source_workload_namespace"), "{{source_workload}}.{{source_workload_namespace}}")},
			}},
			tcp(servers, "source_workload", "source_workload_namespace"),
		},
	}
}

// summary is three panels: rate, success and duration.
func summary(who, match string) []Panel {
	return []Panel{
		{Title: who + "requests", Type: graph, Unit: perSecond, Width: 8, Queries: one(sum(rate("istio_requests_total", match)), "requests")},
		{Title: who + "success", Description: "The share of requests without a 5xx response.", Type: graph, Unit: share, Width: 8, Thresholds: wholeShare, Queries: one(succeeded(match), "success")},
		{Title: who + "duration", Type: graph, Unit: milliseconds, Width: 8, Queries: percentiles("istio_request_duration_milliseconds", match)},
	}
}

// tcp is the row about connections, by peer.
func tcp(match string, peer ...string) Row {
	legend := ""
	for i, label := range peer {
		if i > 0 {
			legend += "."
		}
		legend += "{{" + label + "}}"
	}
	return Row{Title: "TCP", Panels: []Panel{
		{Title: "Connections opened", Type: graph, Unit: opsPerSecond, Width: 8, Empty: noTCP, Queries: one(sum(rate("istio_tcp_connections_opened_total", match), peer...), legend)},
		{Title: "Bytes received", Description: "Counted when a connection ends.", Type: graph, Unit: bytesRate, Width: 8, Empty: noTCP, Queries: one(sum(rate("istio_tcp_received_bytes_total", match), peer...), legend)},
		{Title: "Bytes sent", Description: "Counted when a connection ends.", Type: graph, Unit: bytesRate, Width: 8, Empty: noTCP, Queries: one(sum(rate("istio_tcp_sent_bytes_total", match), peer...), legend)},
	}}
}
