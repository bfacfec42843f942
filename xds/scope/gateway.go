package scope

import (
	"cmp"
	"maps"
	"slices"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/table"
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

// visit is a gateway's view and what it was made from.
type visit struct {
	of   *mesh.Snapshot // stripped
	view *Gateway
	all  map[string]bool // the hosts that the routes lead to, whether there are such services or not
}

// gatewayFor shares one view between the replicas of a gateway. Only a change in what it leads to, or in the rules, makes
// another.
func gatewayFor(snapshot *mesh.Snapshot, p *Place) *Gateway {
	h := mesh.NewHash().Add(p.caller.namespace, p.caller.labelsKey)
	for _, e := range p.exposed {
		h.Uint(uint64(e.ServicePort)).Uint(uint64(e.TargetPort))
	}
	return snapshot.Once("gateway\x00"+h.Key(), func(before any) any {
		last, ok := before.(visit)
		now := visit{of: seenByGateway(snapshot), view: last.view, all: last.all}
		if ok && !last.changed(now.of) {
			return now
		}
		if now.view, now.all = newGateway(snapshot, p); ok && last.view.Key == now.view.Key {
			now.view = last.view
		}
		return now
	}).(visit).view
}

func seenByGateway(s *mesh.Snapshot) *mesh.Snapshot {
	all := seen(s)
	all.Gateways, all.Credentials = s.Gateways, s.Credentials
	return all
}

func (v visit) changed(now *mesh.Snapshot) bool {
	of := v.of
	if of.Settings != now.Settings || of.Gateways != now.Gateways || of.VirtualServices != now.VirtualServices ||
		of.Rules != now.Rules || of.Credentials != now.Credentials {
		return true
	}
	for c := range table.Diff(of.Services, now.Services) {
		if v.all[c.Key] {
			return true
		}
	}
	return false
}

func newGateway(snapshot *mesh.Snapshot, p *Place) (*Gateway, map[string]bool) {
	g := &Gateway{Namespace: p.caller.namespace}
	h := mesh.NewHash().Add(p.caller.namespace)
	ports, reserved, wanted := map[uint32][]Server{}, map[uint32][]reservation{}, map[string]bool{}
	for gateway := range snapshot.Gateways.Values() {
		if !mesh.Selects(gateway.Spec.GetSelector(), p.caller.labels) {
			continue
		}
		for i, spec := range gateway.Spec.GetServers() {
			for _, number := range listenOn(p.exposed, spec.GetPort().GetNumber()) {
				server := newServer(snapshot, p.caller, gateway, i, reserved[number])
				addDestinations(wanted, server)
				if reserves(spec) {
					reserved[number] = append(reserved[number], reservation{gateway, spec})
				}
				ports[number] = append(ports[number], server)
				h.Uint(uint64(number)).Add(serverKey(server))
			}
		}
	}
	for _, number := range slices.Sorted(maps.Keys(ports)) {
		g.Ports = append(g.Ports, GatewayPort{number, ports[number]})
	}
	f := newFinder(snapshot, p.caller)
	for _, host := range slices.Sorted(maps.Keys(wanted)) {
		if s := f.service(host); s != nil {
			view := &Service{Service: s, Rule: f.rule(s.Host, s.Namespace)}
			view.Credentials = clientCredentials(snapshot, p.caller.namespace, view.Rule)
			view.Key = routerViewKey(p.caller.namespace, view)
			g.Services = append(g.Services, view)
			h.Add(view.Sum())
		}
	}
	g.Key = h.Key()
	return g, wanted
}

// listenOn is where traffic for a server's port arrives: the target ports of the router's Services, else the port itself.
func listenOn(exposed []mesh.Exposed, number uint32) []uint32 {
	var ports []uint32
	for _, e := range exposed {
		if e.ServicePort == number {
			ports = append(ports, e.TargetPort)
		}
	}
	if len(ports) == 0 {
		ports = []uint32{number}
	}
	return ports
}

func newServer(snapshot *mesh.Snapshot, c caller, gateway *mesh.Gateway, index int, older []reservation) Server {
	spec := gateway.Spec.GetServers()[index]
	server := Server{Gateway: gateway, Index: index, Spec: spec}
	server.admitHosts(older)
	if name := mesh.CredentialName(spec.GetTls()); name != "" {
		server.Credential = snapshot.Credential(c.namespace, name)
		server.CA = snapshot.Credential(c.namespace, name+mesh.CASuffix)
	}
	name := gateway.Namespace + "/" + gateway.Name
	for v := range snapshot.Lookup.RoutesByGateway.Get(name).Values() {
		if !exportedTo(v, gateway.Namespace, c.namespace) {
			continue
		}
		if hosts := server.admitRoutes(older, v, mesh.CommonHosts(gateway.Namespace, server.Hosts, v)); len(hosts) > 0 {
			server.Routes = append(server.Routes, ServerRoutes{newView(snapshot, v, name, c), hosts})
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
		for _, route := range r.HTTP {
			for _, host := range mesh.DestinationsOf(route, r.Namespace) {
				wanted[host] = true
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
