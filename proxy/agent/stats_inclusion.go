package agent

import (
	"slices"

	"github.com/mesh-operator/mesh-operator/internal/telemetry"
)

// Envoy has hundreds of statistics of each cluster, listener and connection manager. It creates those selected here: every one
// costs memory in each pod of the mesh, and in Prometheus. As Istio's default selection, it leaves out those of single
// clusters, whose requests istio_requests_total counts.
var (
	includedPrefixes = []string{
		telemetry.StatPrefix + ".", "server.", "cluster_manager.", "listener_manager.", "control_plane.", "overload.",
		"cluster." + xdsCluster + ".", "cluster." + sdsCluster + ".",
	}
	// What shows why a request was refused; clusters without such a limit and clusters without requests have none of them.
	includedSuffixes = []string{
		".outlier_detection.ejections_active", ".outlier_detection.ejections_enforced_total",
		".upstream_cx_overflow", ".upstream_rq_pending_overflow",
	}
	// What the agent reads to drain the pod (admin.go).
	includedRegexps = []string{
		`listener\..+\.downstream_cx_(active|total)`,
		`http\..+\.downstream_(cx|rq)_active`,
	}
)

// statsMatcher is envoy.config.metrics.v3.StatsMatcher with the selection above and the pod's own.
func statsMatcher(own telemetry.Statistics) object {
	var patterns []object
	for _, prefix := range slices.Concat(includedPrefixes, own.Prefixes) {
		patterns = append(patterns, object{"prefix": prefix})
	}
	for _, suffix := range slices.Concat(includedSuffixes, own.Suffixes) {
		patterns = append(patterns, object{"suffix": suffix})
	}
	for _, expression := range slices.Concat(includedRegexps, own.Regexps) {
		patterns = append(patterns, object{"safe_regex": object{"regex": expression}})
	}
	return object{"inclusion_list": object{"patterns": patterns}}
}
