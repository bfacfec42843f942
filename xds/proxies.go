package xds

import (
	"cmp"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// proxies exports the state of the data plane. Every pilot counts all proxies, and those connected to it that have the newest
// configuration; the operator adds up the answers of all pilots.
type proxies struct {
	snapshot func() *mesh.Snapshot
	synced   func() map[mesh.Name]bool
}

// mostVersions bounds the series: pods say their version themselves. Further versions are counted together as "other".
const mostVersions = 20

var (
	proxyPods = prometheus.NewDesc("pilot_proxy_pods",
		"Running pods with a proxy of the mesh, connected or not, by type and by version of the sidecar's template.", []string{"type", "version"}, nil)
	proxySynced = prometheus.NewDesc("pilot_proxy_synced",
		"Those of pilot_proxy_pods that are connected to this pilot and have accepted its newest configuration.", nil, nil)
)

// Describe implements prometheus.Collector.
func (p *proxies) Describe(descs chan<- *prometheus.Desc) {
	descs <- proxyPods
	descs <- proxySynced
}

// Collect implements prometheus.Collector. Before the first configuration there are no metrics.
func (p *proxies) Collect(metrics chan<- prometheus.Metric) {
	snapshot := p.snapshot()
	if snapshot == nil {
		return
	}
	synced, connected := 0, p.synced()
	counts := map[proxyGroup]int{}
	for _, pod := range snapshot.ProxyPods() {
		counts[proxyGroup{pod.Type, pod.Version}]++
		if connected[pod.Name] {
			synced++
		}
	}
	metrics <- prometheus.MustNewConstMetric(proxySynced, prometheus.GaugeValue, float64(synced))
	for group, count := range bounded(counts) {
		metrics <- prometheus.MustNewConstMetric(proxyPods, prometheus.GaugeValue, float64(count), string(group.proxy), group.version)
	}
}

type proxyGroup struct {
	proxy   mesh.ProxyType
	version string
}

// bounded keeps the largest groups and puts the others together.
func bounded(counts map[proxyGroup]int) map[proxyGroup]int {
	var groups []proxyGroup
	for group := range counts {
		groups = append(groups, group)
	}
	slices.SortFunc(groups, func(a, b proxyGroup) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a.version, b.version), cmp.Compare(a.proxy, b.proxy))
	})
	out := map[proxyGroup]int{}
	for i, group := range groups {
		kept := group
		if i >= mostVersions {
			kept.version = "other"
		}
		out[kept] += counts[group]
	}
	return out
}
