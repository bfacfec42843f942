package main

import "google.golang.org/protobuf/reflect/protoreflect"

// descriptions are what kubectl explain prints, by the full names of messages and fields.
var descriptions = map[protoreflect.FullName]string{}

func describe(message protoreflect.FullName, text string, fields map[string]string) {
	descriptions[message] = text
	for name, text := range fields {
		descriptions[message.Append(protoreflect.Name(name))] = text
	}
}

const network = "istio.networking.v1alpha3."

func init() {
	describeRoutes()
	describeRouteParts()
	describeRules()
	describeGateways()
	describeTelemetry()
	describeServiceEntries()
}

func describeRoutes() {
	describe(network+"VirtualService", "Rules for the requests to some hosts: which version of a service gets them, and what happens on the way.", map[string]string{
		"hosts":     "The hosts whose requests the rules are for: names of services (short ones are of the object's namespace), domain names, or *.domain.",
		"gateways":  "Where the rules apply: names of Gateways, namespace/name for those of other namespaces, and mesh for all sidecars. Default: mesh.",
		"http":      "Rules for HTTP, asked in order: the first that matches decides.",
		"tls":       "Rules for TLS connections that are passed on unread.",
		"tcp":       "Rules for TCP connections.",
		"export_to": "Namespaces that see the rules; \".\" is the object's own, \"*\" all. Default: all.",
	})
	describe(network+"HTTPRoute", "What happens to the requests that match.", map[string]string{
		"name":              "A name for logs.",
		"match":             "Conditions, of which one must hold; none: every request.",
		"route":             "The destinations; several share the requests by their weights.",
		"redirect":          "Answers with a redirect instead of forwarding.",
		"direct_response":   "Answers with a fixed status and body.",
		"delegate":          "Another VirtualService that has the rules.",
		"rewrite":           "Changes path or host before the request is forwarded.",
		"timeout":           "Longest time for the whole request, retries included; 0s or unset: no limit.",
		"retries":           "What to do when an attempt fails.",
		"fault":             "Delays or fails some of the requests on purpose, to test what callers do.",
		"mirror":            "A destination that gets a copy of the requests; its answers are thrown away.",
		"mirrors":           "Several destinations that get copies of the requests.",
		"mirror_percent":    "An old spelling, read as mirrorPercentage.value.",
		"mirror_percentage": "The share of requests that is copied; unset: all.",
		"cors_policy":       "Which other origins a browser may call from.",
		"headers":           "Changes headers of requests and responses.",
	})
	describe(network+"HTTPMatchRequest", "A condition on a request; all that is set must hold.", map[string]string{
		"name":             "A name for logs.",
		"uri":              "The path.",
		"scheme":           "http or https.",
		"method":           "The method, such as GET.",
		"authority":        "The host of the request.",
		"headers":          "Headers by their names in lower case; a cookie is the header cookie.",
		"port":             "The port of the host that is called.",
		"source_labels":    "Labels of the calling pods; the rule then exists for those pods only.",
		"gateways":         "Some of spec.gateways; the rule then exists for those only.",
		"query_params":     "Parameters of the query.",
		"ignore_uri_case":  "Compares the path without regard to case.",
		"without_headers":  "Headers that must not match.",
		"source_namespace": "The namespace of the calling pods.",
		"stat_prefix":      "A prefix for statistics of the rule.",
	})
	describe(network+"StringMatch", "How to compare: exactly one of these.", map[string]string{
		"exact":  "The whole value.",
		"prefix": "The beginning of the value.",
		"regex":  "A regular expression (RE2) for the whole value.",
	})
}

func describeRouteParts() {
	describe(network+"HTTPRouteDestination", "A destination and its share.", map[string]string{
		"destination": "Where the requests go.",
		"weight":      "The share, relative to the other weights; customary: percent.",
		"headers":     "Changes headers for this destination.",
	})
	describe(network+"Destination", "A service, and a part of it.", map[string]string{
		"host":   "The service: a short name is of the object's namespace.",
		"subset": "A subset that a DestinationRule of the host defines.",
		"port":   "The service's port; may be left out when it has only one.",
	})
	describe(network+"PortSelector", "A port of a service.", map[string]string{"number": "Its number."})
	describe(network+"HTTPRedirect", "Where to send the caller.", map[string]string{
		"uri":            "The new path.",
		"authority":      "The new host.",
		"port":           "The new port.",
		"derive_port":    "How to find the new port.",
		"scheme":         "http or https.",
		"redirect_code":  "301, 302, 303, 307 or 308; default: 301.",
		"prefix_rewrite": "Replaces the matched prefix of the path.",
	})
	describe(network+"HTTPRewrite", "What to change before a request is forwarded.", map[string]string{
		"uri":               "Replaces the path, or the prefix that was matched.",
		"authority":         "Replaces the host.",
		"uri_regex_rewrite": "Replaces parts of the path by a regular expression.",
	})
	describe(network+"HTTPRetry", "When and how often to try again.", map[string]string{
		"attempts":                    "How often to try again; 0: never.",
		"per_try_timeout":             "Longest time for one attempt; unset: the request's timeout.",
		"retry_on":                    "Conditions and status codes, separated by commas, such as 5xx,connect-failure,503.",
		"retry_remote_localities":     "Tries other zones.",
		"retry_ignore_previous_hosts": "Tries endpoints again that failed already.",
		"backoff":                     "Shortest time between attempts.",
	})
	describe(network+"HTTPFaultInjection", "Faults on purpose.", map[string]string{
		"delay": "Lets requests wait.", "abort": "Answers with an error instead of forwarding.",
	})
	describe(network+"HTTPFaultInjection.Delay", "A delay of some requests.", map[string]string{
		"percent":           "An old spelling, read as percentage.value.",
		"percentage":        "The share of requests; unset: none.",
		"fixed_delay":       "How long they wait.",
		"exponential_delay": "A delay that varies.",
	})
	describe(network+"HTTPFaultInjection.Abort", "A failure of some requests.", map[string]string{
		"percentage":  "The share of requests; unset: none.",
		"http_status": "The status that they get.",
		"grpc_status": "The status of gRPC that they get.",
		"http2_error": "The error of HTTP/2 that they get.",
	})
	describe(network+"Percent", "A percentage.", map[string]string{"value": "0 to 100; fractions are allowed."})
}

func describeRules() {
	describe(network+"DestinationRule", "What holds for the connections to a service, and which parts (subsets) it has.", map[string]string{
		"host":              "The service: a short name is of the object's namespace; *.domain for several.",
		"traffic_policy":    "For all connections to the service.",
		"subsets":           "Parts of the service by labels of its pods, such as versions; a VirtualService routes to them by name.",
		"export_to":         "Namespaces that see the rule; \".\" is the object's own, \"*\" all. Default: all.",
		"workload_selector": "The calling pods that the rule is for.",
	})
	policy := map[string]string{
		"load_balancer":     "How an endpoint is chosen.",
		"connection_pool":   "Limits for connections and requests: a circuit breaker.",
		"outlier_detection": "When an endpoint that fails gets no requests for a while.",
		"tls":               "How connections are encrypted; unset: mutual TLS wherever the other side has a sidecar.",
	}
	describe(network+"TrafficPolicy.PortTrafficPolicy", "What holds for the connections to one port.", policy)
	describe(network+"TrafficPolicy", "What holds for connections.", policy)
	descriptions[network+"TrafficPolicy.PortTrafficPolicy.port"] = "The port of the service."
	descriptions[network+"TrafficPolicy.port_level_settings"] = "For single ports; what is set here replaces the policy above."
	describe(network+"Subset", "A part of a service.", map[string]string{
		"name":           "Its name in VirtualServices.",
		"labels":         "Labels of its pods, beside those that the Service selects.",
		"traffic_policy": "Replaces the rule's policy for the part.",
	})
	describe(network+"LoadBalancerSettings", "How an endpoint is chosen.", map[string]string{
		"simple":          "ROUND_ROBIN, LEAST_REQUEST or RANDOM; default: LEAST_REQUEST.",
		"consistent_hash": "The same endpoint for the same caller.",
	})
	describe(network+"ConnectionPoolSettings", "Limits for connections and requests.", map[string]string{
		"tcp": "For connections of any protocol.", "http": "For HTTP and gRPC.",
	})
	describe(network+"ConnectionPoolSettings.TCPSettings.TcpKeepalive", "When to ask a silent peer whether it is there.", map[string]string{
		"probes": "Unanswered questions before the connection counts as dead.", "time": "Silence before the first question.", "interval": "Time between questions.",
	})
	describe(network+"ConnectionPoolSettings.TCPSettings", "Limits for connections.", map[string]string{
		"max_connections": "Most connections of one proxy to the service.",
		"connect_timeout": "Longest time to connect; default: 10s.",
		"tcp_keepalive":   "Asks silent peers whether they are there.",
		"idle_timeout":    "Closes connections without traffic after this time.",
	})
	describe(network+"ConnectionPoolSettings.HTTPSettings", "Limits for requests.", map[string]string{
		"http1_max_pending_requests":  "Most requests that wait for a connection; more get 503 at once.",
		"http2_max_requests":          "Most requests of one proxy at a time.",
		"max_requests_per_connection": "Requests before a connection is closed; 1: no keep-alive.",
		"max_retries":                 "Most retries at a time.",
		"idle_timeout":                "Closes connections without requests after this time.",
	})
	describe(network+"OutlierDetection", "When an endpoint gets no requests for a while.", map[string]string{
		"consecutive_errors":                 "An old spelling, read as consecutive5xxErrors.",
		"consecutive_5xx_errors":             "Answers of 500 and above in a row; default: 5.",
		"consecutive_gateway_errors":         "Answers of 502, 503 and 504 in a row.",
		"consecutive_local_origin_failures":  "Failed connections in a row, when they are counted apart.",
		"split_external_local_origin_errors": "Counts failed connections apart from answers.",
		"interval":                           "Time between two looks; default: 10s.",
		"base_ejection_time":                 "Shortest time without requests, times the number of times it happened; default: 30s.",
		"max_ejection_percent":               "Most endpoints without requests at a time, in percent; default: 10.",
		"min_health_percent":                 "With fewer healthy endpoints than this, all get requests.",
	})
	describe(network+"ClientTLSSettings", "How connections to the service are encrypted.", map[string]string{
		"mode":                 "DISABLE: not. SIMPLE: the server shows a certificate. MUTUAL: the proxy shows one as well. ISTIO_MUTUAL: both sides show the mesh's certificates.",
		"client_certificate":   "MUTUAL: path of the file in the proxy with the certificate to show.",
		"private_key":          "MUTUAL: path of the file in the proxy with the certificate's key.",
		"ca_certificates":      "Path of the file in the proxy with the authorities of the server's certificate; default: public authorities.",
		"ca_crl":               "Path of the file in the proxy with what those authorities have revoked.",
		"credential_name":      "For gateways, instead of files: the Secret in the gateway's namespace with tls.crt, tls.key and ca.crt.",
		"sni":                  "The name to ask the server for; default: the host of each request.",
		"subject_alt_names":    "Names of which the server's certificate must have one; default: the name that it was asked for.",
		"insecure_skip_verify": "Accepts any certificate.",
	})
}

func describeGateways() {
	describe(network+"Gateway", "Ports and hosts that a gateway of the mesh serves. VirtualServices that name it say what happens to the requests.", map[string]string{
		"servers":  "The ports with their hosts.",
		"selector": "Labels of the gateway's pods, such as istio: ingressgateway.",
	})
	describe(network+"Server", "A port and its hosts.", map[string]string{
		"port":  "The port of the gateway's Service.",
		"hosts": "The hosts served there: names, *.domain, or \"*\"; namespace/host admits VirtualServices of that namespace only.",
		"tls":   "How connections are encrypted.",
		"name":  "A name for logs.",
	})
	describe(network+"Port", "A port.", map[string]string{
		"number":   "The port of the gateway's Service: 80, 443, or one that was added.",
		"protocol": "HTTP or HTTPS.",
		"name":     "A name that no other server of the gateway has.",
	})
	describe(network+"ServerTLSSettings", "How connections from outside are encrypted.", map[string]string{
		"https_redirect":  "Answers HTTP with a redirect to HTTPS.",
		"mode":            "SIMPLE: the gateway shows a certificate. MUTUAL: the caller shows one too.",
		"credential_name": "A kubernetes.io/tls Secret in the namespace of the gateway's pods; MUTUAL needs ca.crt in it.",
	})
	const security = "istio.security.v1beta1."
	describe(security+"PeerAuthentication", "Whether sidecars accept connections without mutual TLS. In the mesh's root namespace it holds for the mesh, elsewhere for the namespace, with a selector for the pods that it selects.", map[string]string{
		"selector":        "The pods; unset: all of the namespace.",
		"mtls":            "For all ports.",
		"port_level_mtls": "For single ports of the pods, by the number that the application listens on.",
	})
	describe(security+"PeerAuthentication.MutualTLS", "What is accepted.", map[string]string{
		"mode": "STRICT: mutual TLS only. PERMISSIVE: plain text as well. DISABLE: plain text only. UNSET: as in the wider scope.",
	})
	describe("istio.type.v1beta1.WorkloadSelector", "Pods by their labels.", map[string]string{
		"match_labels": "Labels that the pods have.",
	})
}
