package agent

import (
	"net/netip"
	"slices"
	"time"
)

const (
	managerFilter = "envoy.filters.network.http_connection_manager"
	routerFilter  = "envoy.filters.http.router"
	healthName    = "health"
	metricsName   = "prometheus"
)

// metricsListener serves Envoy's metrics page of the admin interface, and nothing else of it.
func metricsListener(c Config) object {
	return onePage(c, metricsName, c.Ports.Metrics, "/stats/prometheus", adminCluster)
}

// healthListener serves the readiness probe through Envoy itself, so that the answer also shows that its workers run.
func healthListener(c Config) object {
	return onePage(c, healthName, c.Ports.Health, "/healthz/ready", agentCluster)
}

// onePage is an open port that forwards GET of exactly one path and rejects every other request. It bypasses the overload
// manager: otherwise the kubelet would restart the pods with the most load.
func onePage(c Config, name string, port uint32, path, cluster string) object {
	return object{
		"name":                              name,
		"address":                           everyAddress(c.IPs, port),
		"per_connection_buffer_limit_bytes": bufferLimit,
		"bypass_overload_manager":           true,
		"ignore_global_conn_limit":          true,
		"filter_chains": []object{{"filters": []object{{
			"name":         managerFilter,
			"typed_config": connectionManager(name, path, cluster),
		}}}},
	}
}

// everyAddress is the wildcard address of the pod's IP families.
func everyAddress(ips []netip.Addr, port uint32) object {
	if !slices.ContainsFunc(ips, netip.Addr.Is6) {
		return socketAddress("0.0.0.0", port)
	}
	return object{"socket_address": object{"address": "::", "port_value": port, "ipv4_compat": true}}
}

func connectionManager(name, path, cluster string) object {
	return extension("envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager", object{
		"stat_prefix": name,
		"codec_type":  "HTTP1",
		// x-envoy headers of untrusted clients are removed, and no alternative spelling of a path passes the exact match.
		"use_remote_address":               true,
		"normalize_path":                   true,
		"merge_slashes":                    true,
		"path_with_escaped_slashes_action": "REJECT_REQUEST",
		"common_http_protocol_options": object{
			"idle_timeout":                    duration(90 * time.Second),
			"headers_with_underscores_action": "REJECT_REQUEST",
		},
		"request_headers_timeout": duration(10 * time.Second),
		"request_timeout":         duration(30 * time.Second),
		"stream_idle_timeout":     duration(30 * time.Second),
		"route_config": object{
			"name":          name,
			"virtual_hosts": []object{{"name": name, "domains": []string{"*"}, "routes": []object{getOnly(path, cluster)}}},
		},
		"http_filters": []object{{
			"name":         routerFilter,
			"typed_config": extension("envoy.extensions.filters.http.router.v3.Router", object{"suppress_envoy_headers": true}),
		}},
	})
}

func getOnly(path, cluster string) object {
	return object{
		"match": object{
			"path":    path,
			"headers": []object{{"name": ":method", "string_match": object{"exact": "GET"}}},
		},
		"route": object{"cluster": cluster, "timeout": duration(20 * time.Second)},
	}
}
