// Package callgraph makes a call graph of the mesh's request metrics and draws it. It reads nothing but its input.
//
//	graph.go   series of the metrics -> nodes and edges
//	tree.go    as text for a terminal
//	layout.go  nodes in layers, edges around nodes; svg.go: as a picture
//	dot.go     for Graphviz
package callgraph

import (
	"cmp"
	"maps"
	"slices"
)

// Sample is a series of istio_requests_total, istio_tcp_connections_opened_total or a quantile of
// istio_request_duration_milliseconds: its labels, and requests a second, connections a second or milliseconds.
type Sample struct {
	Labels map[string]string
	Value  float64
}

// Metrics are the series that a graph is made of.
type Metrics struct {
	Requests, Connections []Sample
	P50, P99              []Sample // one for each reporter, source and destination
}

// Labels are the labels of Requests and Connections that Build reads; PairLabels those of P50 and P99.
var (
	PairLabels = []string{"reporter", "source_workload", "source_workload_namespace", "destination_workload", "destination_workload_namespace",
		"destination_service_name", "destination_service_namespace"}
	Labels = append(slices.Clone(PairLabels), "destination_principal", "response_code", "grpc_response_status", "response_flags", "connection_security_policy")
)

// Graph is who calls whom. Nodes and edges are sorted.
type Graph struct {
	Nodes []Node `json:"nodes"`
	Edges []Edge `json:"edges"`
}

// The kinds of nodes.
const (
	KindWorkload = "workload"
	KindService  = "service" // of which the proxy did not know, or not reach, a workload; also a host outside of the mesh
	KindUnknown  = "unknown" // clients without a certificate of the mesh
)

// Node is an end of calls.
type Node struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// Edge is what one node sent to another, of a second.
type Edge struct {
	From        Node     `json:"from"`
	To          Node     `json:"to"`
	Requests    float64  `json:"requestsPerSecond"`
	Errors      float64  `json:"errorsPerSecond"` // of the requests
	P50         *float64 `json:"p50Milliseconds,omitempty"`
	P99         *float64 `json:"p99Milliseconds,omitempty"`
	Connections float64  `json:"tcpConnectionsPerSecond,omitempty"`
	// MutualTLS is the share of requests and connections that came over mutual TLS, 0 to 1; nil: no proxy knows.
	MutualTLS *float64 `json:"mutualTLS,omitempty"`
}

func compareNodes(a, b Node) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
}

func compareEdges(a, b Edge) int {
	return cmp.Or(compareNodes(a.From, b.From), compareNodes(a.To, b.To))
}

type pair struct{ from, to Node }

// counts is what the proxies of one side reported of a pair.
type counts struct {
	requests, errors, connections float64
	secure, plain                 float64 // requests and connections of which the side knows
}

// Build makes the graph. Both sides report most calls: rates, errors and durations are the client's, which also knows the requests that
// reached no server, and the server's where the client has no proxy. Mutual TLS is the server's report, else the client's.
func Build(m Metrics) Graph {
	sides := map[string]map[pair]*counts{"source": {}, "destination": {}}
	reported := reportedServices(m)
	for _, series := range []struct {
		samples []Sample
		add     func(*counts, Sample)
	}{
		{m.Requests, addRequests},
		{m.Connections, func(c *counts, s Sample) { c.connections += s.Value }},
	} {
		for _, s := range series.samples {
			side := sides[s.Labels["reporter"]]
			if side == nil || !(s.Value > 0) || countedByServer(s, reported) {
				continue
			}
			key := pairOf(s)
			if side[key] == nil {
				side[key] = &counts{}
			}
			series.add(side[key], s)
			side[key].addSecurity(s)
		}
	}
	return graphOf(sides["source"], sides["destination"], durations(m.P50), durations(m.P99))
}

func addRequests(c *counts, s Sample) {
	c.requests += s.Value
	if IsError(s.Labels["response_code"], s.Labels["grpc_response_status"]) {
		c.errors += s.Value
	}
}

// addSecurity reads what a side knows of the connection: the server whether the client had a certificate, the client whether the server
// had one.
func (c *counts) addSecurity(s Sample) {
	switch policy := s.Labels["connection_security_policy"]; {
	case policy == "mutual_tls", s.Labels["reporter"] == "source" && known(s.Labels["destination_principal"]):
		c.secure += s.Value
	case policy == "none":
		c.plain += s.Value
	}
}

func graphOf(source, destination map[pair]*counts, p50, p99 map[string]map[pair]float64) Graph {
	g := Graph{Nodes: []Node{}, Edges: []Edge{}}
	pairs, nodes := map[pair]bool{}, map[Node]bool{}
	for _, side := range []map[pair]*counts{source, destination} {
		for key := range side {
			pairs[key], nodes[key.from], nodes[key.to] = true, true, true
		}
	}
	for key := range pairs {
		reporter, c := "source", source[key]
		if c == nil {
			reporter, c = "destination", destination[key]
		}
		edge := Edge{From: key.from, To: key.to, Requests: c.requests, Errors: c.errors, Connections: c.connections, MutualTLS: c.mutualTLS()}
		if d := destination[key]; d != nil && d.mutualTLS() != nil {
			edge.MutualTLS = d.mutualTLS()
		}
		edge.P50, edge.P99 = lookup(p50[reporter], key), lookup(p99[reporter], key)
		g.Edges = append(g.Edges, edge)
	}
	g.Nodes = slices.SortedFunc(maps.Keys(nodes), compareNodes)
	slices.SortFunc(g.Edges, compareEdges)
	return g
}

func (c *counts) mutualTLS() *float64 {
	if c.secure+c.plain == 0 {
		return nil
	}
	share := c.secure / (c.secure + c.plain)
	return &share
}

func lookup(values map[pair]float64, key pair) *float64 {
	if v, ok := values[key]; ok && v == v { // NaN: no request
		return &v
	}
	return nil
}

func durations(samples []Sample) map[string]map[pair]float64 {
	out := map[string]map[pair]float64{"source": {}, "destination": {}}
	for _, s := range samples {
		if side := out[s.Labels["reporter"]]; side != nil {
			side[pairOf(s)] = s.Value
		}
	}
	return out
}

// target is a client and a Service it calls.
type target struct{ from, service Node }

// reportedServices are the targets of which a server reports calls.
func reportedServices(m Metrics) map[target]bool {
	out := map[target]bool{}
	for _, samples := range [][]Sample{m.Requests, m.Connections} {
		for _, s := range samples {
			if s.Labels["reporter"] == "destination" && s.Value > 0 {
				out[target{pairOf(s).from, serviceOf(s)}] = true
			}
		}
	}
	return out
}

// countedByServer reports a call whose client does not know the workload of the server (of a headless Service), while the server reports
// the same call. What a proxy answered itself, which its response flags say, no server reports.
func countedByServer(s Sample, reported map[target]bool) bool {
	key := pairOf(s)
	flags := s.Labels["response_flags"]
	return s.Labels["reporter"] == "source" && key.to.Kind == KindService && (flags == "-" || flags == "") && reported[target{key.from, key.to}]
}

func pairOf(s Sample) pair {
	from := Node{Kind: KindUnknown, Name: "unknown"}
	if name := s.Labels["source_workload"]; known(name) {
		from = Node{Kind: KindWorkload, Namespace: orEmpty(s.Labels["source_workload_namespace"]), Name: name}
	}
	if name := s.Labels["destination_workload"]; known(name) {
		return pair{from, Node{Kind: KindWorkload, Namespace: orEmpty(s.Labels["destination_workload_namespace"]), Name: name}}
	}
	return pair{from, serviceOf(s)}
}

func serviceOf(s Sample) Node {
	if name := s.Labels["destination_service_name"]; known(name) {
		return Node{Kind: KindService, Namespace: orEmpty(s.Labels["destination_service_namespace"]), Name: name}
	}
	return Node{Kind: KindUnknown, Name: "unknown"}
}

func known(value string) bool { return value != "" && value != "unknown" }

func orEmpty(value string) string {
	if !known(value) {
		return ""
	}
	return value
}

// serverFaults are the statuses of gRPC that blame the server (OpenTelemetry's semantic conventions for RPC).
var serverFaults = []string{"2", "4", "12", "13", "14", "15"}

// ServerFaults returns the statuses of gRPC that count as errors.
func ServerFaults() []string { return slices.Clone(serverFaults) }

// IsError tells whether a request with these labels of istio_requests_total failed.
func IsError(code, grpcStatus string) bool {
	return len(code) == 3 && code[0] == '5' || slices.Contains(serverFaults, grpcStatus)
}

// InNamespace returns the edges that begin or end in a namespace, with their nodes.
func (g Graph) InNamespace(namespace string) Graph {
	out := Graph{Nodes: []Node{}, Edges: []Edge{}}
	nodes := map[Node]bool{}
	for _, e := range g.Edges {
		if e.From.Namespace == namespace || e.To.Namespace == namespace {
			out.Edges = append(out.Edges, e)
			nodes[e.From], nodes[e.To] = true, true
		}
	}
	out.Nodes = append(out.Nodes, slices.SortedFunc(maps.Keys(nodes), compareNodes)...)
	return out
}
