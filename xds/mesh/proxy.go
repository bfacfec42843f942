package mesh

import "github.com/mesh-operator/mesh-operator/xds/resource"

// ProxyType says what a proxy is for.
type ProxyType string

// The two kinds of proxies.
const (
	Sidecar ProxyType = "sidecar"
	Router  ProxyType = "router" // a gateway
)

// Proxy is an Envoy of the mesh as its Pod object describes it; nothing here is what the proxy says of itself.
type Proxy struct {
	Type      ProxyType
	Namespace string
	Name      string // of the pod
	UID       string
	Account   string
	IPs       []string
	Labels    map[string]string
	Workload  string
	Node      string

	Inbound   []InboundPort // what its services receive on, by port
	Exposed   []Exposed     // the ports of the Services that select it
	Unclaimed MTLSMode      // for ports no Service speaks of
	Policies  []resource.Object
}
