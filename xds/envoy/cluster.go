package envoy

import (
	"math"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/scope"
)

// clusters adds, for each port of a service, its cluster, one for each subset, and their endpoints.
func (c *collector) clusters(s *scope.Service) {
	router := c.scope.Type == mesh.Router
	for _, port := range s.Ports {
		for _, subset := range subsetsOf(s.Rule) {
			t := target{s, port, subset, router, c.scope.Settings.TrustDomain, c.reachable, ""}
			c.cluster(t)
			if t.original() && mixed(port) {
				t.suffix = plaintextSuffix
				c.cluster(t)
			}
			if t.discovered() {
				c.endpoints(t)
			}
		}
	}
}

func (c *collector) cluster(t target) {
	key := mesh.NewHash().Add("cluster", t.service.Key, t.name()).Bool(t.router)
	if t.byDNS() {
		key.Add(t.port.Key)
	}
	c.add(key, t.service.Sources(), func(d *draft) { d.cluster(t) })
}

// cluster emits the target's cluster. If Envoy would reject it, the numbers of the rule are left out and reported as a
// problem; its TLS settings are never left out.
func (d *draft) cluster(t target) {
	policy := policyFor(t)
	full := t.cluster(policy)
	err := validate(full)
	if err == nil {
		d.emitValid(resource.Cluster, full.Name, full, sortedObjects(slices.Clone(d.sources)))
		return
	}
	for _, o := range t.service.Rule.Objects() {
		d.problem(o, "spec", "applies only in part, because Envoy would refuse it: "+err.Error())
	}
	d.emit(resource.Cluster, full.Name, t.cluster(trafficPolicy{Tls: policy.Tls}))
}

// subsetsOf lists the subsets of a rule after nil, the whole service.
func subsetsOf(r *scope.Rule) []*networking.Subset {
	all := []*networking.Subset{nil}
	if r != nil {
		all = append(all, r.Subsets...)
	}
	return all
}

// target is what an outbound cluster stands for: a port of a service, or of a subset of it.
type target struct {
	service     *scope.Service
	port        *mesh.Port
	subset      *networking.Subset // nil: all
	router      bool
	trustDomain string
	reachable   func(ip string) bool
	suffix      string // plaintextSuffix: for the endpoints without mutual TLS; else empty
}

func (t target) name() string {
	return outboundName(t.port.Number, t.subset.GetName(), t.service.Host) + t.suffix
}

// original reports whether connections go to their original destination: the client of a headless service has chosen a pod, that of
// a ServiceEntry an address. A gateway's clients have not.
func (t target) original() bool {
	return (t.service.Resolution == mesh.ByClient || t.service.Resolution == mesh.Unresolved) && !t.router
}

// byDNS reports whether the proxy looks up the endpoints.
func (t target) byDNS() bool {
	return t.service.Resolution == mesh.ByDNS || t.service.Resolution == mesh.ByFirstOfDNS
}

// discovered reports whether pilot sends the endpoints beside the cluster.
func (t target) discovered() bool { return !t.original() && !t.byDNS() }

// cluster is the target's Envoy cluster.
func (t target) cluster(policy trafficPolicy) *clusterv3.Cluster {
	c := &clusterv3.Cluster{
		Name:            t.name(),
		ConnectTimeout:  seconds(10),
		CircuitBreakers: unlimited(),
		CommonLbConfig:  &clusterv3.Cluster_CommonLbConfig{},
		Metadata:        clusterMetadata(t),
	}
	switch {
	case t.original():
		c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_ORIGINAL_DST}
		c.LbPolicy = clusterv3.Cluster_CLUSTER_PROVIDED
	case t.byDNS():
		t.lookUp(c)
	default:
		c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS}
		c.EdsClusterConfig = &clusterv3.Cluster_EdsClusterConfig{EdsConfig: adsSource(seconds(0)), ServiceName: t.name()}
		c.LbPolicy = clusterv3.Cluster_LEAST_REQUEST
	}
	applyPool(c, policy.ConnectionPool)
	applyOutlierDetection(c, policy.OutlierDetection)
	if !t.original() {
		applyLoadBalancer(c, policy.LoadBalancer, t.service.Affinity)
	}
	setUpstreamProtocol(c, t.port.Protocol, policy.ConnectionPool.GetHttp())
	t.applyTLS(c, policy.Tls)
	return c
}

// unlimited lifts Envoy's own limits of 1024, which no rule asked for.
func unlimited() *clusterv3.CircuitBreakers {
	most := func() *wrapperspb.UInt32Value { return wrapperspb.UInt32(math.MaxUint32) }
	return &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
		MaxConnections: most(), MaxPendingRequests: most(), MaxRequests: most(), MaxRetries: most(), TrackRemaining: true,
	}}}
}
