package envoy

import (
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// chainKind is the kind of listener that a filter chain belongs to.
type chainKind string

// The kinds of filter chains.
const (
	sidecarInbound  chainKind = "sidecar inbound"
	sidecarOutbound chainKind = "sidecar outbound"
	gatewayServer   chainKind = "gateway"
)

// filterContext is what the condition of a row may depend on.
type filterContext struct {
	kind     chainKind
	protocol mesh.Protocol                // of an inbound port
	manager  *hcmv3.HttpConnectionManager // of a chain for HTTP; nil: TCP
	cluster  string                       // of a chain for TCP
	affinity bool                         // of a chain for TCP: the cluster chooses by the client's address
}

// httpFilters are all HTTP filters in the order in which a request passes them. A new filter is a row here and a file of its
// own; supported_test.go and the goldens show where it appears.
var httpFilters = []struct {
	filter func() *hcmv3.HttpFilter
	when   func(filterContext) bool
	reason string
}{
	{grpcWebFilter, isGRPCWeb, "translates before any other filter reads the message; the workload speaks gRPC"},
	{faultFilter, isCaller, "faults belong to routes of VirtualServices, which the caller's proxy chooses"},
	{routerFilter, always, "ends the chain: forwards the request"},
}

// networkFilters are all network filters in the order in which a connection passes them.
var networkFilters = []struct {
	filter func(*collector, filterContext) *listenerv3.Filter
	when   func(filterContext) bool
	reason string
}{
	{httpManagerFilter, isHTTP, "ends the chain: requests are routed one by one"},
	{tcpProxyFilter, isTCP, "ends the chain: forwards the bytes"},
}

func always(filterContext) bool { return true }

func isGRPCWeb(c filterContext) bool {
	return c.kind == sidecarInbound && c.protocol == mesh.GRPCWeb
}
func isCaller(c filterContext) bool { return c.kind != sidecarInbound }
func isHTTP(c filterContext) bool   { return c.manager != nil }
func isTCP(c filterContext) bool    { return c.manager == nil }

func httpFiltersFor(context filterContext) (filters []*hcmv3.HttpFilter) {
	for _, row := range httpFilters {
		if row.when(context) {
			filters = append(filters, row.filter())
		}
	}
	return filters
}

// httpChain returns the network filters of a chain whose requests manager routes. It gives manager its HTTP filters
// and metrics.
func (c *collector) httpChain(kind chainKind, protocol mesh.Protocol, manager *hcmv3.HttpConnectionManager) []*listenerv3.Filter {
	context := filterContext{kind: kind, protocol: protocol, manager: manager}
	manager.HttpFilters = httpFiltersFor(context)
	manager.AccessLog = append(manager.AccessLog, c.metricsOf(kind).http...)
	return c.networkFilters(context)
}

// tcpChain returns the network filters of a chain that forwards connections to a cluster.
func (c *collector) tcpChain(kind chainKind, cluster string) []*listenerv3.Filter {
	return c.networkFilters(filterContext{kind: kind, cluster: cluster})
}

func (c *collector) networkFilters(context filterContext) (filters []*listenerv3.Filter) {
	for _, row := range networkFilters {
		if row.when(context) {
			filters = append(filters, row.filter(c, context))
		}
	}
	return filters
}
