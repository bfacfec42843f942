package main

func describeTelemetry() {
	const telemetry = "istio.telemetry.v1alpha1."
	describe(telemetry+"Telemetry", "What sidecars and gateways log, count and trace. In the mesh's root namespace it holds for the mesh, elsewhere for the namespace, with a selector for the pods that it selects.", map[string]string{
		"selector":       "The pods; unset: all of the namespace.",
		"access_logging": "The access logs.",
		"metrics":        "Istio's request metrics.",
		"tracing":        "The spans that proxies report.",
	})
	describe(telemetry+"AccessLogging", "A setting of access logs.", map[string]string{
		"match":     "The side that it is for; unset: both.",
		"providers": "The logs that it is about; unset: those of the entry before, at first the mesh's.",
		"disabled":  "true: nothing is logged.",
		"filter":    "What is logged; unset: everything.",
	})
	describe(telemetry+"AccessLogging.LogSelector", "A side of a proxy.", map[string]string{
		"mode": "CLIENT: outgoing traffic of sidecars, and gateways. SERVER: incoming traffic of sidecars. CLIENT_AND_SERVER: both.",
	})
	describe(telemetry+"AccessLogging.Filter", "A condition.", map[string]string{
		"expression": "A condition in CEL over Envoy's attributes, such as response.code >= 500.",
	})
	describe(telemetry+"ProviderRef", "A provider.", map[string]string{
		"name": "envoy: a log in the format of the mesh. envoy-json: a log in JSON. otel: the collector of spec.telemetry.accessLog.otlpURL. tracing: the tracing system of the Installation. prometheus: the metrics.",
	})
	describe(telemetry+"Metrics", "A setting of Istio's request metrics.", map[string]string{
		"providers": "prometheus, the only provider.",
		"overrides": "Changes of the metrics, in order: of two for one label the later counts.",
	})
	describe(telemetry+"MetricsOverrides", "A change of metrics.", map[string]string{
		"match":         "The metrics and the side that it is for; unset: all.",
		"disabled":      "true: proxies do not make the metrics.",
		"tag_overrides": "Labels to remove and to add, by name.",
	})
	describe(telemetry+"MetricSelector", "Metrics of a side of a proxy.", map[string]string{
		"metric": "The metric; unset: all.",
		"mode":   "CLIENT: outgoing traffic of sidecars, and gateways. SERVER: incoming traffic of sidecars. CLIENT_AND_SERVER: both.",
	})
	describe(telemetry+"MetricsOverrides.TagOverride", "A change of a label.", map[string]string{
		"operation": "UPSERT: add the label, which must be none of the mesh's. REMOVE: leave out a label of the mesh.",
		"value":     "With UPSERT: an attribute of Envoy in CEL, such as request.host, or a text in quotes, such as 'test'.",
	})
	describe(telemetry+"Tracing", "A setting of tracing.", map[string]string{
		"match":                      "The side that it is for; unset: both.",
		"providers":                  "The tracing system; the one of the Installation is called tracing.",
		"random_sampling_percentage": "Of the requests whose caller has not decided, 0 to 100; unset: that of the Installation.",
		"disable_span_reporting":     "true: no spans.",
		"custom_tags":                "Tags of each span, by name; those of the narrowest object replace all others.",
	})
	describe(telemetry+"Tracing.TracingSelector", "A side of a proxy.", map[string]string{
		"mode": "CLIENT: outgoing traffic of sidecars, and gateways. SERVER: incoming traffic of sidecars. CLIENT_AND_SERVER: both.",
	})
	describe(telemetry+"Tracing.CustomTag", "The value of a tag.", map[string]string{
		"literal":     "A fixed value.",
		"header":      "The value of a header of the request.",
		"environment": "The value of a variable of the proxy.",
	})
}
