package istioconfig

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"
)

// What one object may ask for. Every host gets every route, every alternative of a rule all that the rule says, every port of
// a service every subset: without bounds, what fits into one object becomes more than fits into any memory.
const (
	maxHosts        = 1000
	maxGateways     = 100
	maxSourceLabels = 50 // label selectors by which clients are grouped: each may divide those of every namespace
	maxServers      = 100
	routeBytes      = 512 // what proxies get for a route at the least

	// MaxRuleBytes bounds the rules of a VirtualService, when every host and every alternative has them.
	MaxRuleBytes = 8 << 20

	wildcardWeight = 100 // that a host counts as which stands for many services

	maxSubsets         = 100
	maxWildcardSubsets = 10 // of a host that stands for many

	maxNames            = 100 // that a server's certificate may have
	maxTLSBytes         = 16 << 10
	maxWildcardTLSBytes = 1 << 10 // where it is for all that a host stands for
)

type limit struct {
	field, what string
	n, most     int
}

// checkLimits tells whether an object is small enough to be looked at.
func (c *checker) checkLimits(fix string, limits ...limit) bool {
	small := true
	for _, b := range limits {
		if b.n > b.most {
			c.add(b.field, fmt.Sprintf("%d %s are more than %d", b.n, b.what, b.most), fix)
			small = false
		}
	}
	return small
}

func (c *checker) virtualServiceLimits(vs *networking.VirtualService) bool {
	hostWeight, what := len(vs.GetHosts()), "bytes of rules for all hosts"
	if n := HostWeight(vs); n != hostWeight && (len(vs.GetGateways()) == 0 || slices.Contains(vs.GetGateways(), meshGateway)) {
		hostWeight, what = n, fmt.Sprintf("bytes of rules for all hosts, a wildcard in the mesh being %d of them,", wildcardWeight)
	}
	return c.checkLimits("write several VirtualServices",
		limit{"spec.hosts", "hosts", len(vs.GetHosts()), maxHosts},
		limit{"spec.gateways", "gateways", len(vs.GetGateways()), maxGateways},
		limit{"spec.http", what, RuleBytes(vs) * hostWeight, MaxRuleBytes}) &&
		c.checkLimits("give the clients that are to be treated alike a label of their own, and match that",
			limit{"spec.http", "different sourceLabels", countSourceLabels(vs), maxSourceLabels})
}

func countSourceLabels(vs *networking.VirtualService) int {
	found := map[string]bool{}
	for _, r := range vs.GetHttp() {
		for _, m := range r.GetMatch() {
			if labels := m.GetSourceLabels(); len(labels) > 0 {
				found[fmt.Sprint(labels)] = true // in the order of the keys
			}
		}
	}
	return len(found)
}

// HostWeight is how many services the hosts of a VirtualService count as in the mesh.
func HostWeight(vs *networking.VirtualService) int {
	n := 0
	for _, host := range vs.GetHosts() {
		if n++; strings.HasPrefix(host, "*") {
			n += wildcardWeight - 1
		}
	}
	return n
}

// RuleBytes estimates what proxies get for each host of a VirtualService.
func RuleBytes(vs *networking.VirtualService) int {
	bytes := 0
	for _, r := range vs.GetHttp() {
		alternatives := 0
		for _, m := range r.GetMatch() {
			alternatives += proto.Size(m)
		}
		bytes += alternatives + max(1, len(r.GetMatch()))*(routeBytes+proto.Size(r)-alternatives)
	}
	return bytes
}

func (c *checker) gatewayLimits(g *networking.Gateway) bool {
	hosts := 0
	for _, s := range g.GetServers() {
		hosts += len(s.GetHosts())
	}
	return c.checkLimits("write several Gateways",
		limit{"spec.servers", "servers", len(g.GetServers()), maxServers},
		limit{"spec.servers", "hosts of all servers", hosts, maxHosts})
}

func (c *checker) destinationRuleLimits(dr *networking.DestinationRule) bool {
	subsets, fix := limit{"spec.subsets", "subsets", len(dr.GetSubsets()), MaxSubsets(dr.GetHost())}, "name only the subsets that routes lead to"
	if strings.HasPrefix(dr.GetHost(), "*") {
		subsets.what, fix = "subsets of all hosts that "+dr.GetHost()+" means", "write a DestinationRule for each service"
	}
	return c.checkLimits(fix, subsets)
}

// tlsLimits bounds what is in every cluster that the settings are for: one for each port and subset.
func (c *checker) tlsLimits(path, host string, t *networking.ClientTLSSettings) bool {
	most, what := maxTLSBytes, "bytes"
	if strings.HasPrefix(host, "*") {
		most, what = maxWildcardTLSBytes, "bytes for all hosts that "+host+" means"
	}
	return c.checkLimits("name an authority in caCertificates that signs for these servers alone, or write a DestinationRule for each service",
		limit{path + ".subjectAltNames", "names", len(t.GetSubjectAltNames()), maxNames},
		limit{path, what, proto.Size(t), most})
}

// MaxSubsets is how many subsets a host may have.
func MaxSubsets(host string) int {
	if strings.HasPrefix(host, "*") {
		return maxWildcardSubsets
	}
	return maxSubsets
}
