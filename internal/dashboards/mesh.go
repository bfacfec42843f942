package dashboards

// mesh is the entry: all services, with links to their dashboards.
func mesh() Dashboard {
	const received = `reporter="destination"`
	byService := []string{"destination_service", "destination_workload", "destination_workload_namespace"}
	return Dashboard{
		UID: "istio-mesh", Title: "Istio Mesh Dashboard", Description: "Every service of the mesh. Click on a service or a workload to see more of it.",
		Rows: []Row{
			{Title: "All requests, as the servers' proxies count them", Panels: []Panel{
				{Title: "Requests", Type: value, Unit: perSecond, Width: 4, Queries: one(sum(rate("istio_requests_total", received)), "requests")},
				{Title: "Success", Description: "The share of requests without a 5xx response.", Type: value, Unit: share, Width: 4, Thresholds: wholeShare, Queries: one(succeeded(received), "success")},
				{Title: "4xx", Description: "Requests that the client should not have sent so.", Type: value, Unit: perSecond, Width: 4, Empty: noErrors,
					Queries: one(sum(rate("istio_requests_total", received+`, response_code=~"4.*"`)), "4xx")},
				{Title: "5xx", Description: "Requests that the server or its proxy failed to answer.", Type: value, Unit: perSecond, Width: 4, Empty: noErrors, Thresholds: noneAtAll,
					Queries: one(sum(rate("istio_requests_total", received+`, response_code=~"5.*"`)), "5xx")},
				{Title: "99th percentile", Description: "99 of 100 requests are shorter.", Type: value, Unit: milliseconds, Width: 4, Thresholds: shortTime(500, 2000),
					Queries: one(percentile(0.99, "istio_request_duration_milliseconds", received), "p99")},
				{Title: "Mutual TLS", Description: "The share of requests over mutual TLS.", Type: value, Unit: share, Width: 4, Thresholds: wholeShare,
					Queries: one(sum(rate("istio_requests_total", received+`, connection_security_policy="mutual_tls"`))+" / "+sum(rate("istio_requests_total", received)), "mutual TLS")},
			}},
			{Title: "Services", Panels: []Panel{
				{Title: "HTTP and gRPC", Description: "By service and by the workload that served the requests.", Type: table, Width: 24,
					Queries: []Query{
						{sum(rate("istio_requests_total", received), byService...), "requests"},
						{percentile(0.5, "istio_request_duration_milliseconds", received, byService...), "p50"},
						{percentile(0.9, "istio_request_duration_milliseconds", received, byService...), "p90"},
						{percentile(0.99, "istio_request_duration_milliseconds", received, byService...), "p99"},
						{succeeded(received, byService...), "success"},
					},
					Columns: append(destinationColumns(),
						Column{Name: "requests", Title: "Requests", Unit: perSecond}, Column{Name: "p50", Title: "P50", Unit: milliseconds},
						Column{Name: "p90", Title: "P90", Unit: milliseconds}, Column{Name: "p99", Title: "P99", Unit: milliseconds, Thresholds: shortTime(500, 2000)},
						Column{Name: "success", Title: "Success", Unit: share, Thresholds: wholeShare})},
				{Title: "TCP", Description: "Bytes are counted when a connection ends.", Type: table, Width: 24, Empty: noTCP,
					Queries: []Query{
						{sum(rate("istio_tcp_received_bytes_total", received), byService...), "received"},
						{sum(rate("istio_tcp_sent_bytes_total", received), byService...), "sent"},
					},
					Columns: append(destinationColumns(), Column{Name: "received", Title: "Received", Unit: bytesRate}, Column{Name: "sent", Title: "Sent", Unit: bytesRate})},
			}},
			{Title: "Proxies and certificates", Panels: []Panel{
				{Title: "Proxies", Description: "Running pods with a proxy, and those that have accepted the newest configuration.", Type: graph, Unit: count, Width: 8,
					Queries: []Query{{"mesh:proxies:pods", "pods"}, {"mesh:proxies:synced", "up to date"}}},
				{Title: "Certificates issued", Type: graph, Unit: opsPerSecond, Width: 8, Queries: one(sum(rate("citadel_server_success_cert_issuance_count", "")), "issued")},
				{Title: "Pods with a new sidecar", Description: "By the rule that decided.", Type: graph, Unit: opsPerSecond, Width: 8,
					Queries: one(sum(rate("sidecar_injection_success_total", ""), "rule"), "{{rule}}")},
				{Title: "The root of trust ends", Type: value, Unit: date, Width: 8, Queries: one("max(citadel_server_root_cert_expiry_timestamp) * 1000", "root")},
				{Title: "Certificates refused", Type: value, Unit: count, Width: 8, Empty: noRefusal, Thresholds: noneAtAll, Queries: one(sum("citadel_server_refused_count"), "refused")},
				{Title: "Pods refused by the injector", Type: value, Unit: count, Width: 8, Empty: noRefusal, Thresholds: noneAtAll, Queries: one(sum("sidecar_injection_failure_total"), "refused")},
			}},
		},
	}
}

// destinationColumns are service and workload, with links.
func destinationColumns() []Column {
	return []Column{
		{Name: "destination_service", Title: "Service", Link: serviceLink},
		{Name: "destination_workload", Title: "Workload", Link: workloadLink},
		{Name: "destination_workload_namespace", Title: "Namespace"},
	}
}
