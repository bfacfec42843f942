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
	mostHosts    = 1000
	mostGateways = 100
	mostSources  = 50 // label selectors that clients are told apart by: each may divide those of every namespace
	mostServers  = 100
	routeBytes   = 512 // what proxies get for a route at the least

	// MostBytes bounds the rules of a VirtualService, when every host and every alternative has them.
	MostBytes = 8 << 20

	wildPlaces = 100 // that a host counts as which stands for many services

	mostSubsets     = 100
	mostWildSubsets = 10 // of a host that stands for many

	mostNames = 100 // that a server's certificate may have
	mostTLS   = 16 << 10
	wildTLS   = 1 << 10 // where it is for all that a host stands for
)

type bound struct {
	field, what string
	n, most     int
}

// within tells whether an object is small enough to be looked at.
func (c *checker) within(fix string, bounds ...bound) bool {
	small := true
	for _, b := range bounds {
		if b.n > b.most {
			c.add(b.field, fmt.Sprintf("%d %s are more than %d", b.n, b.what, b.most), fix)
			small = false
		}
	}
	return small
}

func (c *checker) smallVirtualService(vs *networking.VirtualService) bool {
	places, what := len(vs.GetHosts()), "bytes of rules for all hosts"
	if n := Places(vs); n != places && (len(vs.GetGateways()) == 0 || slices.Contains(vs.GetGateways(), meshGateway)) {
		places, what = n, fmt.Sprintf("bytes of rules for all hosts, a wildcard in the mesh being %d of them,", wildPlaces)
	}
	return c.within("write several VirtualServices",
		bound{"spec.hosts", "hosts", len(vs.GetHosts()), mostHosts},
		bound{"spec.gateways", "gateways", len(vs.GetGateways()), mostGateways},
		bound{"spec.http", what, RuleBytes(vs) * places, MostBytes}) &&
		c.within("give the clients that are to be treated alike a label of their own, and match that",
			bound{"spec.http", "different sourceLabels", sources(vs), mostSources})
}

func sources(vs *networking.VirtualService) int {
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

// Places is how many services the hosts of a VirtualService count as in the mesh.
func Places(vs *networking.VirtualService) int {
	n := 0
	for _, host := range vs.GetHosts() {
		if n++; strings.HasPrefix(host, "*") {
			n += wildPlaces - 1
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

func (c *checker) smallGateway(g *networking.Gateway) bool {
	hosts := 0
	for _, s := range g.GetServers() {
		hosts += len(s.GetHosts())
	}
	return c.within("write several Gateways",
		bound{"spec.servers", "servers", len(g.GetServers()), mostServers},
		bound{"spec.servers", "hosts of all servers", hosts, mostHosts})
}

func (c *checker) smallDestinationRule(dr *networking.DestinationRule) bool {
	subsets, fix := bound{"spec.subsets", "subsets", len(dr.GetSubsets()), SubsetBound(dr.GetHost())}, "name only the subsets that routes lead to"
	if strings.HasPrefix(dr.GetHost(), "*") {
		subsets.what, fix = "subsets of all hosts that "+dr.GetHost()+" means", "write a DestinationRule for each service"
	}
	return c.within(fix, subsets)
}

// smallTLS bounds what is in every cluster that the settings are for: one for each port and subset.
func (c *checker) smallTLS(path, host string, t *networking.ClientTLSSettings) bool {
	most, what := mostTLS, "bytes"
	if strings.HasPrefix(host, "*") {
		most, what = wildTLS, "bytes for all hosts that "+host+" means"
	}
	return c.within("name an authority in caCertificates that signs for these servers alone, or write a DestinationRule for each service",
		bound{path + ".subjectAltNames", "names", len(t.GetSubjectAltNames()), mostNames},
		bound{path, what, proto.Size(t), most})
}

// SubsetBound is how many subsets a host may have.
func SubsetBound(host string) int {
	if strings.HasPrefix(host, "*") {
		return mostWildSubsets
	}
	return mostSubsets
}
