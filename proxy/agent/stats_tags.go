package agent

import "github.com/mesh-operator/mesh-operator/internal/telemetry"

// statsConfig extracts labels from the parts of Envoy's stat names that differ from service to service. Envoy's default
// rules end a cluster's name at its first dot, inside the host name; these rules end it where a known stat begins.
func statsConfig(included telemetry.Statistics) object {
	tag := func(name, regex string) object { return object{"tag_name": name, "regex": regex} }
	return object{
		"use_all_default_tags": false,
		"stats_matcher":        statsMatcher(included),
		"stats_tags": []object{
			tag("cluster_name", `^cluster\.((.+?\.svc\.cluster\.local|.+?)\.)(?:`+clusterStats+`)`),
			tag("http_conn_manager_prefix", `^http\.((.+?)\.)(?:downstream_|rds\.|no_|passthrough_|rq_|tracing\.|user_agent\.)`),
			tag("tcp_prefix", `^tcp\.((.+?)\.)(?:downstream_|idle_|max_|early_data|on_demand_|upstream_)`),
			tag("listener_address", `^listener\.((.+?)\.)(?:`+listenerStats+`)`),
			tag("response_code", `\.(?:down|up)stream_rq(_([0-9]{3}))$`),
			tag("response_code_class", `\.(?:down|up)stream_rq_(([0-9]))xx$`),
		},
	}
}

// The stats that may follow a name. Words that are also parts of host names need the text after them to match.
const (
	clusterStats = `assignment_|bind_errors$|circuit_breakers\.|(?:canary|external|internal)\.upstream_rq|client_ssl_socket_factory\.|` +
		`default\.total_match_count|health_check\.|http[123]\.[a-z0-9_]+$|init_fetch_timeout|lb_|max_host_weight$|membership_|` +
		`original_dst_host_invalid|outlier_detection\.|retry_or_shadow_abandoned|ssl\.(?:handshake$|connection_error$|certificate\.|ciphers\.|curves\.|sigalgs\.|versions\.|[a-z]+_)|tls_|update_|upstream_|version$|` +
		`version_text$|warming_state$`
	listenerStats = `connections_accepted_|downstream_|extension_config_missing|global_|http\.|no_certificate|no_filter_chain_match|` +
		`ssl\.|server_ssl_socket_factory\.|worker_`
)
