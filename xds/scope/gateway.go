package scope

import (
	"cmp"
	"maps"
	"slices"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// Gateway is what a router serves: the servers of the Gateways that select it, by the port it listens on, and the
// services that their routes lead to.
type Gateway struct {
	Namespace string // of the router: its Secrets are the only ones it may have
	Ports     []GatewayPort
	Services  []*Service // by host
	Key       string
}

// GatewayPort is one port that a router listens on.
type GatewayPort struct {
	Number  uint32 // of the router's pod
	Servers []Server
}

// Server is one server of a Gateway with the routes bound to it.
type Server struct {
	Gateway    *mesh.Gateway
	Index      int // in the Gateway
	Spec       *networking.Server
	Hosts      []string // of the Spec, without those that an older Gateway keeps for others
	Refusals   []Refusal
	Routes     []ServerRoutes
	Credential *mesh.Credential // of spec.tls.credentialName, from the router's own namespace; nil if there is none
	CA         *mesh.Credential // of its name with mesh.CASuffix
}

// ServerRoutes is a VirtualService at a server, with the hosts that both of them have.
type ServerRoutes struct {
	*VirtualService
	Hosts []string
}

// gatewayFor shares one view between the replicas of a gateway.
func gatewayFor(snapshot *mesh.Snapshot, proxy mesh.Proxy) *Gateway {
	h := mesh.NewHash().Add(proxy.Namespace).Map(proxy.Labels)
	for _, e := range proxy.Exposed {
		h.Uint(uint64(e.ServicePort)).Uint(uint64(e.TargetPort))
	}
	return snapshot.Once("gateway\x00"+h.Key(), func() any { return newGateway(snapshot, proxy) }).(*Gateway)
}

func newGateway(snapshot *mesh.Snapshot, proxy mesh.Proxy) *Gateway {
	g := &Gateway{Namespace: proxy.Namespace}
	h := mesh.NewHash().Add(proxy.Namespace)
	ports, reserved, wanted := map[uint32][]Server{}, map[uint32][]reservation{}, map[string]bool{}
	for _, gateway := range snapshot.Gateways {
		if !mesh.Selects(gateway.Spec.GetSelector(), proxy.Labels) {
			continue
		}
		for i, spec := range gateway.Spec.GetServers() {
			for _, number := range listenOn(proxy, spec.GetPort().GetNumber()) {
				server := newServer(snapshot, proxy, gateway, i, reserved[number])
				addDestinations(wanted, server)
				ports[number] = append(ports[number], server)
				if reserves(spec) {
					reserved[number] = append(reserved[number], reservation{gateway, spec})
				}
				h.Uint(uint64(number)).Add(serverKey(server))
			}
		}
	}
	for _, number := range slices.Sorted(maps.Keys(ports)) {
		g.Ports = append(g.Ports, GatewayPort{number, ports[number]})
	}
	rules := rulesOf(snapshot)
	for _, host := range slices.Sorted(maps.Keys(wanted)) {
		if s := snapshot.Service(host); s != nil && mesh.Exported(s.ExportTo, s.Namespace, proxy.Namespace) {
			view := &Service{Service: s, Rule: rules.find(s.Host, s.Namespace, proxy.Namespace)}
			view.Credentials = clientCredentials(snapshot, proxy.Namespace, view.Rule)
			view.Key = routerViewKey(proxy.Namespace, view)
			g.Services = append(g.Services, view)
			h.Add(view.Key)
			for _, p := range s.Ports {
				h.Add(p.Key)
			}
		}
	}
	g.Key = h.Key()
	return g
}

// listenOn is where traffic for a server's port arrives: the target ports of the router's Services, else the port itself.
func listenOn(proxy mesh.Proxy, number uint32) []uint32 {
	var ports []uint32
	for _, e := range proxy.Exposed {
		if e.ServicePort == number {
			ports = append(ports, e.TargetPort)
		}
	}
	if len(ports) == 0 {
		ports = []uint32{number}
	}
	return ports
}

func newServer(snapshot *mesh.Snapshot, proxy mesh.Proxy, gateway *mesh.Gateway, index int, older []reservation) Server {
	spec := gateway.Spec.GetServers()[index]
	server := Server{Gateway: gateway, Index: index, Spec: spec}
	server.admitHosts(older)
	if name := mesh.CredentialName(spec.GetTls()); name != "" {
		server.Credential = snapshot.Credentials[mesh.Name{Namespace: proxy.Namespace, Name: name}]
		server.CA = snapshot.Credentials[mesh.Name{Namespace: proxy.Namespace, Name: name + mesh.CASuffix}]
	}
	name := gateway.Namespace + "/" + gateway.Name
	for _, v := range snapshot.VirtualServices {
		if !slices.Contains(v.Gateways, name) {
			continue
		}
		if !exportedTo(v, gateway.Namespace, proxy.Namespace) {
			continue
		}
		if hosts := server.admitRoutes(older, v, mesh.CommonHosts(gateway.Namespace, server.Hosts, v)); len(hosts) > 0 {
			server.Routes = append(server.Routes, ServerRoutes{newView(v, name, caller{namespace: proxy.Namespace, labels: proxy.Labels}), hosts})
		}
	}
	return server
}

// exportedTo tells whether a VirtualService is for a gateway: for the namespace of the Gateway or for that of its pods.
func exportedTo(v *mesh.VirtualService, gateway, pods string) bool {
	to := v.Spec.GetExportTo()
	return mesh.Exported(to, v.Namespace, gateway) || mesh.Exported(to, v.Namespace, pods)
}

func serverKey(s Server) string {
	h := mesh.NewHash().Add(s.Gateway.Key).Uint(uint64(s.Index)).List(s.Hosts)
	for _, r := range s.Refusals {
		h.Add(string(r.Object), r.Field, r.Host, string(r.By))
	}
	for _, r := range s.Routes {
		h.Add(r.Key).List(r.Hosts)
	}
	for _, c := range []*mesh.Credential{s.Credential, s.CA} {
		if h.Bool(c != nil); c != nil {
			h.Add(c.Key)
		}
	}
	return h.Key()
}

// addDestinations collects the hosts that a server's routes can lead to.
func addDestinations(wanted map[string]bool, server Server) {
	for _, r := range server.Routes {
		add := func(d *networking.Destination) {
			if d != nil {
				wanted[mesh.ResolveHost(d.GetHost(), r.Namespace)] = true
			}
		}
		for _, route := range r.HTTP {
			for _, d := range route.GetRoute() {
				add(d.GetDestination())
			}
			add(route.GetMirror())
			for _, m := range route.GetMirrors() {
				add(m.GetDestination())
			}
		}
	}
}

// Sources lists the objects that a server was made from.
func (s Server) Sources() []resource.Object {
	sources := []resource.Object{s.Gateway.Object}
	for _, r := range s.Routes {
		sources = append(sources, r.Object)
	}
	slices.SortFunc(sources, func(a, b resource.Object) int { return cmp.Compare(a, b) })
	return slices.Compact(sources)
}
