package mesh

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

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

	Inbound     []InboundPort // by port
	Exposed     []Exposed     // the ports of the Services that select it
	DefaultMode MTLSMode      // what ports admit that are not in Inbound
	Policies    []resource.Object
	Telemetry   *Telemetry // nil: the mesh's defaults
	Conflicts   []Problem  // of Services that another decides for
}

// ProxyView is a proxy with what it was made from.
type ProxyView struct {
	Proxy *Proxy

	pod       *corev1.Pod
	services  table.Table[*corev1.Service]
	policies  [2]table.Table[*PeerAuthentication] // of the mesh and the namespace
	base      MTLSMode
	telemetry [2]table.Table[*TelemetryRule] // of the mesh and the namespace
	settings  *Settings
}

// Proxy describes the proxy in the named pod; false if there is no such pod.
func (s *Snapshot) Proxy(namespace, pod string) (*Proxy, bool) {
	view := s.UpdateProxy(nil, namespace, pod)
	if view == nil {
		return nil, false
	}
	return view.Proxy, true
}

// UpdateProxy is Proxy that starts from the view of an earlier snapshot, which may be nil, and returns that view if nothing of
// the proxy has changed. It returns nil if there is no such pod.
func (s *Snapshot) UpdateProxy(before *ProxyView, namespace, pod string) *ProxyView {
	p := s.pod(Name{namespace, pod}.String())
	if p == nil {
		return nil
	}
	policies := s.index.policies
	now := ProxyView{
		pod: p, services: s.index.selecting.Get(namespace), base: policies.base,
		policies:  [2]table.Table[*PeerAuthentication]{policies.ByNamespace.Get(policies.root), policies.ByNamespace.Get(namespace)},
		telemetry: [2]table.Table[*TelemetryRule]{s.index.telemetry.Get(s.Settings.RootNamespace), s.index.telemetry.Get(namespace)},
		settings:  s.Settings,
	}
	if before != nil {
		if now.Proxy = before.Proxy; now == *before {
			return before
		}
	}
	now.Proxy = s.newProxy(p)
	return &now
}

func (s *Snapshot) newProxy(p *corev1.Pod) *Proxy {
	proxy := &Proxy{
		Type: proxyTypeOf(p), Namespace: p.Namespace, Name: p.Name, UID: string(p.UID), Account: accountOf(p),
		IPs: ipsOf(p), Labels: p.Labels, Workload: workloadOf(p), Node: p.Spec.NodeName,
	}
	s.fillInbound(proxy, p)
	proxy.Telemetry = s.telemetryFor(p.Namespace, p.Labels)
	return proxy
}

func ipsOf(p *corev1.Pod) []string {
	var ips []string
	for _, ip := range p.Status.PodIPs {
		ips = append(ips, ip.IP)
	}
	if len(ips) == 0 && p.Status.PodIP != "" {
		ips = []string{p.Status.PodIP}
	}
	return ips
}

// fillInbound lists the ports that services send to. Of two services that disagree about a port in more than the
// version of HTTP, the older one decides, and
// of two ports of one service the first. A port that only a PeerAuthentication speaks of is listed too, as TCP without a host.
func (s *Snapshot) fillInbound(proxy *Proxy, p *corev1.Pod) {
	policy := s.index.policies.of(p.Namespace, p.Labels)
	proxy.DefaultMode, proxy.Policies = policy.mode, policy.sources
	ports := map[uint32]InboundPort{}
	for k := range s.index.selecting.Get(p.Namespace).Values() {
		if len(k.Spec.Selector) == 0 || !Selects(k.Spec.Selector, p.Labels) {
			continue
		}
		for _, port := range k.Spec.Ports {
			target, ok := targetPort(p, port)
			if !ok || !isTCP(port.Protocol) {
				continue
			}
			proxy.Exposed = append(proxy.Exposed, Exposed{uint32(port.Port), target})
			claim := InboundPort{
				Port: target, ServicePort: uint32(port.Port), Host: HostOf(k.Namespace, k.Name), Name: k.Name, Namespace: k.Namespace,
				Protocol: protocolOf(port), Mode: policy.on(target), Sources: []resource.Object{resource.Object("Service/" + k.Namespace + "/" + k.Name)},
			}
			if owner, taken := ports[target]; !taken {
				ports[target] = claim
			} else if both, ok := owner.Protocol.merge(claim.Protocol); ok {
				owner.Protocol = both
				ports[target] = owner
			} else {
				proxy.Conflicts = append(proxy.Conflicts, conflict(claim, owner))
			}
		}
	}
	for number, mode := range policy.ports {
		if _, claimed := ports[number]; !claimed {
			ports[number] = InboundPort{Port: number, ServicePort: number, Protocol: TCP, Mode: mode}
		}
	}
	proxy.Inbound = slices.SortedFunc(maps.Values(ports), func(a, b InboundPort) int { return cmp.Compare(a.Port, b.Port) })
	slices.SortFunc(proxy.Exposed, func(a, b Exposed) int {
		return cmp.Or(cmp.Compare(a.ServicePort, b.ServicePort), cmp.Compare(a.TargetPort, b.TargetPort))
	})
	proxy.Exposed = slices.Compact(proxy.Exposed)
}

// conflict is the problem of a Service port that declares another protocol than the pods' port is served with. Clients that use
// the declared one may not be understood by the proxies of the pods.
func conflict(claim, owner InboundPort) Problem {
	return Problem{Object: claim.Sources[0], Field: "spec.ports", Reason: fmt.Sprintf("port %d says %s, but port %d of the pods is %s by port %d of %s",
		claim.ServicePort, claim.Protocol, owner.Port, owner.Protocol, owner.ServicePort, owner.Sources[0])}
}
