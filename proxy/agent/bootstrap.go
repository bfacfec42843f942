package agent

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"time"

	"github.com/mesh-operator/mesh-operator/internal/version"
)

// Clusters of the bootstrap; pilot's configuration refers to the last two by name.
const (
	adminCluster = "prometheus_stats"
	agentCluster = "agent"
	xdsCluster   = "xds-grpc"
	sdsCluster   = "sds-grpc"
)

// XDSSocket is where Envoy requests configuration.
func (c Config) XDSSocket() string { return filepath.Join(c.Dir, "XDS") }

// SDSSocket is where Envoy requests the workload's certificate and roots.
func (c Config) SDSSocket() string { return filepath.Join(c.Dir, "SDS") }

// BootstrapFile is the configuration file that Envoy is started with.
func (c Config) BootstrapFile() string { return filepath.Join(c.Dir, "envoy.json") }

// Bootstrap returns Envoy's static configuration (envoy.config.bootstrap.v3.Bootstrap) as JSON: the node, the sources of
// the dynamic configuration, the overload limits, and the two ports that answer without dynamic configuration.
func Bootstrap(c Config) ([]byte, error) {
	return json.Marshal(object{
		"node":                    node(c),
		"admin":                   object{"address": socketAddress("127.0.0.1", c.Ports.Admin)},
		"overload_manager":        overloadManager(c.MemoryLimit),
		"layered_runtime":         runtimeLayers(),
		"stats_config":            statsConfig(c.Statistics),
		"watchdogs":               watchdogs(),
		"stats_eviction_interval": duration(statsEvictionInterval),
		// Most clusters never get a request. Envoy creates their traffic counters with the first one.
		"deferred_stat_options": object{"enable_deferred_creation_stats": true},
		"dynamic_resources": object{
			"ads_config": adsConfig(),
			"cds_config": overADS(),
			"lds_config": overADS(),
		},
		"static_resources": object{
			"listeners": []object{metricsListener(c), healthListener(c)},
			"clusters": []object{
				loopbackCluster(adminCluster, c.Ports.Admin),
				loopbackCluster(agentCluster, c.Ports.Agent),
				socketCluster(xdsCluster, c.XDSSocket()),
				socketCluster(sdsCluster, c.SDSSocket()),
			},
		},
	})
}

func node(c Config) object {
	domain := c.Namespace + ".svc.cluster.local"
	out := object{
		"id":       strings.Join([]string{string(c.Role), c.IPs[0].String(), c.PodName + "." + c.Namespace, domain}, "~"),
		"cluster":  serviceName(c),
		"metadata": nodeMetadata(c),
	}
	if l := locality(c.Labels["istio-locality"]); l != nil {
		out["locality"] = l
	}
	return out
}

// nodeMetadata is for tools and for people who read dumps. Pilot does not trust it: it uses the certificate and the Pod.
func nodeMetadata(c Config) object {
	var ips []string
	for _, ip := range c.IPs {
		ips = append(ips, ip.String())
	}
	labels := object{}
	for name, value := range c.Labels {
		labels[name] = value
	}
	out := object{"LABELS": labels}
	for name, value := range map[string]string{
		"NAMESPACE":       c.Namespace,
		"SERVICE_ACCOUNT": c.ServiceAccount,
		"WORKLOAD_NAME":   c.Workload,
		"OWNER":           c.Owner,
		"POD_NAME":        c.PodName,
		"NAME":            c.PodName,
		"INSTANCE_IPS":    strings.Join(ips, ","),
		"NODE_NAME":       c.NodeName,
		"CLUSTER_ID":      clusterID,
		"ISTIO_VERSION":   version.Version,
		"ISTIO_REVISION":  c.Revision,
		"TRUST_DOMAIN":    c.TrustDomain,
	} {
		if value != "" {
			out[name] = value
		}
	}
	return out
}

// locality parses region.zone.subzone, or region/zone/subzone where a name contains dots. It returns nil for an empty
// label: pilot then uses the node's locality.
func locality(label string) object {
	if label == "" {
		return nil
	}
	separator := "."
	if strings.Contains(label, "/") {
		separator = "/"
	}
	parts := append(strings.SplitN(label, separator, 3), "", "")
	return object{"region": parts[0], "zone": parts[1], "sub_zone": parts[2]}
}

func adsConfig() object {
	return object{
		"api_type":                       "DELTA_GRPC",
		"transport_api_version":          "V3",
		"set_node_on_first_message_only": true,
		"grpc_services": []object{{"envoy_grpc": object{
			"cluster_name": xdsCluster,
			// Envoy's default may wait 30 s, too long for a pod that starts while pilot does. The agent delays the attempts of
			// a proxy that has a configuration (backoff.go).
			"retry_policy": object{"retry_back_off": object{
				"base_interval": duration(500 * time.Millisecond),
				"max_interval":  duration(5 * time.Second),
			}},
		}}},
	}
}

// overADS has no initial fetch timeout: a proxy that continued without its configuration would be ready and reject every
// request.
func overADS() object {
	return object{"ads": object{}, "resource_api_version": "V3", "initial_fetch_timeout": duration(0)}
}
