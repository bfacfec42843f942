package main

func describeTelemetry() {
	const telemetry = "istio.telemetry.v1alpha1."
	describe(telemetry+"Telemetry", "What sidecars and gateways log and trace. In the mesh's root namespace it holds for the mesh, elsewhere for the namespace, with a selector for the pods that it selects.", map[string]string{
		"selector":       "The pods; unset: all of the namespace.",
		"access_logging": "The access logs.",
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
		"name": "envoy: a log in the format of the mesh. envoy-json: a log in JSON. tracing: the tracing system of the Installation.",
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
