package main

func describeServiceEntries() {
	describe(network+"ServiceEntry", "A service that is not a Service of Kubernetes, such as a host on the internet, for the pods of the object's namespace; in the mesh's root namespace for all pods.", map[string]string{
		"hosts":      "The names by which clients call it, full ones or *.domain. Requests in HTTP are routed by their host, TLS connections by the server name that the client asks for.",
		"addresses":  "The addresses, or CIDR blocks such as 192.0.2.0/24, to which connections are meant for it. TCP needs them unless the service may have the port at all addresses.",
		"ports":      "The ports that clients call.",
		"location":   "MESH_EXTERNAL (default): outside the mesh. MESH_INTERNAL: endpoints with the label security.istio.io/tlsMode: istio are called with the mesh's mutual TLS.",
		"resolution": "How the address of a connection is chosen. NONE (default): the one that the client dials. STATIC: one of the endpoints. DNS: one of those that DNS has for the endpoints, or for the host if there are none. DNS_ROUND_ROBIN: the first that DNS has at the time.",
		"endpoints":  "The addresses, or with DNS the names, that connections go to.",
		"export_to":  "Namespaces that see it: it is for those of its own namespace, or in the mesh's root namespace for those that are listed; \".\" is the object's own, \"*\" all. Default: all.",
	})
	describe(network+"ServicePort", "A port of a service.", map[string]string{
		"number":      "The number.",
		"protocol":    "HTTP, HTTP2, GRPC or GRPC-WEB: requests are routed. HTTPS or TLS: connections are passed on unread, by their server name. TCP, MONGO, MYSQL or REDIS: bytes.",
		"name":        "A name, by which endpoints may give it another number.",
		"target_port": "The number that endpoints have it on; unset: the same.",
	})
	describe(network+"WorkloadEntry", "An address of a service.", map[string]string{
		"address":         "An IP address, or with resolution DNS a name.",
		"ports":           "The number of a port at this address, by the port's name.",
		"labels":          "Labels, which subsets of DestinationRules select.",
		"weight":          "The share of connections in relation to the others; unset: 1.",
		"service_account": "The service account that the workload's certificate is for; unset: any of the namespace.",
	})
}
