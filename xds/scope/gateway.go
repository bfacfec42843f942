package scope

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

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
	Services  table.Table[*Service] // by host
	Problems  []mesh.Problem        // of servers whose ports are not opened
	Key       string

	wanted table.Groups[bool] // the hosts that routes lead to, whether there are such services or not, and the routes
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
	Hosts      []string                   // of the Spec, without those that an older Gateway keeps for others
	Routes     table.Table[*ServerRoutes] // oldest first
	Credential *mesh.Credential           // of spec.tls.credentialName, from the router's own namespace; nil if there is none
	CA         *mesh.Credential           // of its name with mesh.CASuffix

	served   mesh.ServerHosts // of Hosts
	older    []reservation
	refusals []Refusal // of hosts of the Spec
}

// ServerRoutes is a VirtualService at a server, with the hosts that both of them have.
type ServerRoutes struct {
	*VirtualService
	Hosts []string

	refusals []Refusal
	sum      string
}

// Sum is the hash of the view with its hosts.
func (r *ServerRoutes) Sum() string { return r.sum }

// gatewayView is a gateway's view and what of the snapshot makes another of it, whatever else has changed.
type gatewayView struct {
	at          *generation
	gateways    table.Table[*mesh.Gateway]
	credentials table.Table[*mesh.Credential]
	view        *Gateway
}

// gatewayFor shares one view between the replicas of a gateway. It is made once more if a Gateway or a Secret of the
// router's has changed; of all else that changes only what it leads to is looked at.
func (v *Views) gatewayFor(p *ProxyClass) *Gateway {
	return v.gateways.Get(gatewayKey(p), func(last *gatewayView) gatewayView {
		snapshot, changed := v.Snapshot, v.changesOf()
		now := gatewayView{at: changed.at, gateways: snapshot.Gateways, credentials: snapshot.Credentials}
		if last == nil || changed.all || last.at != changed.from || last.reshaped(now, p.caller) {
			now.view = newGateway(snapshot, p)
		} else {
			now.view = last.view.update(newFinder(snapshot, p.caller), changed)
		}
		if last != nil && last.view.Key == now.view.Key {
			now.view = last.view
		}
		return now
	}).view
}

func gatewayKey(p *ProxyClass) string {
	h := mesh.NewHash().Add(p.caller.namespace, p.caller.labelsKey)
	for _, e := range p.exposed {
		h.Uint(uint64(e.ServicePort)).Uint(uint64(e.TargetPort))
	}
	return h.Key()
}

// reshaped tells whether a Gateway or a Secret has changed that the router has.
func (v gatewayView) reshaped(now gatewayView, c caller) bool {
	for d := range table.Diff(v.gateways, now.gateways) {
		for _, g := range []*mesh.Gateway{d.Old, d.New} {
			if g != nil && mesh.Selects(g.Spec.GetSelector(), c.labels) {
				return true
			}
		}
	}
	for d := range table.Diff(v.credentials, now.credentials) {
		if strings.HasPrefix(d.Key, c.namespace+"/") {
			return true
		}
	}
	return false
}

func newGateway(snapshot *mesh.Snapshot, p *ProxyClass) *Gateway {
	g := &Gateway{Namespace: p.caller.namespace}
	ports, reserved := map[uint32][]Server{}, map[uint32][]reservation{}
	changed := &changes{routes: map[string]bool{}}
	for gateway := range snapshot.Gateways.Values() {
		if !mesh.Selects(gateway.Spec.GetSelector(), p.caller.labels) {
			continue
		}
		for i, spec := range gateway.Spec.GetServers() {
			numbers := listenOn(p.exposed, spec.GetPort().GetNumber())
			if len(numbers) == 0 {
				g.Problems = append(g.Problems, closedPort(gateway, i, p.caller.namespace))
			}
			for _, number := range numbers {
				ports[number] = append(ports[number], newServer(snapshot, p.caller, gateway, i, slices.Clip(reserved[number])))
				if reserves(spec) {
					reserved[number] = append(reserved[number], reservation{gateway, spec})
				}
			}
		}
		for age := range snapshot.Lookup.RoutesByGateway.Get(nameOf(gateway)).All() {
			changed.routes[age] = true
		}
	}
	for _, number := range slices.Sorted(maps.Keys(ports)) {
		g.Ports = append(g.Ports, GatewayPort{number, ports[number]})
	}
	return g.update(newFinder(snapshot, p.caller), changed)
}

// update returns what the gateway becomes by changes in routes, services and their rules.
func (g *Gateway) update(f *finder, changed *changes) *Gateway {
	now := &Gateway{Namespace: g.Namespace, Services: g.Services, Problems: g.Problems, wanted: g.wanted}
	hosts := map[string]bool{}
	h := mesh.NewHash().Add(g.Namespace).Uint(uint64(len(g.Problems)))
	for _, p := range g.Problems {
		h.Add(string(p.Object), p.Field, p.Reason)
	}
	for _, p := range g.Ports {
		p.Servers = slices.Clone(p.Servers)
		for i := range p.Servers {
			for age := range changed.routes {
				now.route(f, p.Number, &p.Servers[i], age, hosts)
			}
			h.Uint(uint64(p.Number)).Add(serverKey(p.Servers[i]))
		}
		now.Ports = append(now.Ports, p)
	}
	for host := range changed.hosts {
		now.service(f, host)
	}
	for host := range hosts {
		now.service(f, host)
	}
	now.Key = h.Add(table.Sum(now.Services)).Key()
	return now
}

// route looks at one VirtualService for one server and adds to hosts what it leads to and led to.
func (g *Gateway) route(f *finder, port uint32, server *Server, age string, hosts map[string]bool) {
	before, now := server.Routes.Get(age), server.routesOf(f, age)
	if before == nil && now == nil || before != nil && now != nil && before.sum == now.sum {
		return
	}
	id := fmt.Sprintf("%d %s %d %s", port, server.Gateway.Object, server.Index, age)
	for _, host := range before.destinations() {
		g.wanted, hosts[host] = g.wanted.Without(host, id), true
	}
	for _, host := range now.destinations() {
		g.wanted, hosts[host] = g.wanted.With(host, id, true), true
	}
	if now == nil {
		server.Routes = server.Routes.Without(age)
	} else {
		server.Routes = server.Routes.With(age, now)
	}
}

// service looks at the service of a host.
func (g *Gateway) service(f *finder, host string) {
	s := f.service(host)
	if s == nil || g.wanted.Get(host).Empty() {
		g.Services = g.Services.Without(host)
		return
	}
	view := &Service{Service: s, Rule: f.rule(s)}
	view.Credentials = clientCredentials(f.snapshot, g.Namespace, view.Rule)
	view.Key = routerViewKey(g.Namespace, view)
	if before := g.Services.Get(host); before == nil || before.Sum() != view.Sum() {
		g.Services = g.Services.With(host, view)
	}
}

// listenOn returns the ports of the router's pods that traffic for a server's port arrives at: the target ports of its
// Services, or the port itself if one of them leads to it. A router without a Service is reached by its own address, on any
// port. Other ports stay closed: each is a socket for every worker, and a Gateway can name thousands.
func listenOn(exposed []mesh.Exposed, number uint32) []uint32 {
	if len(exposed) == 0 {
		return []uint32{number}
	}
	var ports []uint32
	direct := false
	for _, e := range exposed {
		if e.ServicePort == number {
			ports = append(ports, e.TargetPort)
		}
		direct = direct || e.TargetPort == number
	}
	if len(ports) == 0 && direct {
		return []uint32{number}
	}
	return ports
}

// closedPort reports a server whose port no Service leads to.
func closedPort(gateway *mesh.Gateway, index int, namespace string) mesh.Problem {
	number := gateway.Spec.GetServers()[index].GetPort().GetNumber()
	const reason = "port %d is not opened: no Service in %s that selects the gateway's pods has it; add it to that Service"
	return mesh.Problem{Object: gateway.Object, Field: fmt.Sprintf("spec.servers[%d].port.number", index), Reason: fmt.Sprintf(reason, number, namespace)}
}

func nameOf(gateway *mesh.Gateway) string { return gateway.Namespace + "/" + gateway.Name }

func newServer(snapshot *mesh.Snapshot, c caller, gateway *mesh.Gateway, index int, older []reservation) Server {
	spec := gateway.Spec.GetServers()[index]
	server := Server{Gateway: gateway, Index: index, Spec: spec, older: older}
	server.admitHosts()
	if name := mesh.CredentialName(spec.GetTls()); name != "" {
		server.Credential = snapshot.Credential(c.namespace, name)
		server.CA = snapshot.Credential(c.namespace, name+mesh.CASuffix)
	}
	return server
}

// routesOf is what a VirtualService, by its age, does at the server; nil if nothing.
func (s *Server) routesOf(f *finder, age string) *ServerRoutes {
	v, name := f.snapshot.VirtualServices.Get(age), nameOf(s.Gateway)
	if v == nil || !slices.Contains(v.Gateways, name) || !exportedTo(v, s.Gateway.Namespace, f.caller.namespace) {
		return nil
	}
	if f.snapshot.TooLargeAtGateways(v) {
		return nil
	}
	hosts, refusals := s.admitRoutes(v, s.served.Common(v))
	if len(hosts)+len(refusals) == 0 {
		return nil
	}
	r := &ServerRoutes{newView(f.snapshot, v, name, f.caller), hosts, refusals, ""}
	h := mesh.NewHash().Add(r.Key).List(hosts)
	addRefusals(h, refusals)
	r.sum = h.Key()
	return r
}

// exportedTo tells whether a VirtualService is for a gateway: for the namespace of the Gateway or for that of its pods.
func exportedTo(v *mesh.VirtualService, gateway, pods string) bool {
	to := v.Spec.GetExportTo()
	return mesh.Exported(to, v.Namespace, gateway) || mesh.Exported(to, v.Namespace, pods)
}

func serverKey(s Server) string {
	h := mesh.NewHash().Add(s.Gateway.Key).Uint(uint64(s.Index)).List(s.Hosts).Add(table.Sum(s.Routes))
	addRefusals(h, s.refusals)
	for _, c := range []*mesh.Credential{s.Credential, s.CA} {
		if h.Bool(c != nil); c != nil {
			h.Add(c.Key)
		}
	}
	return h.Key()
}

func addRefusals(h mesh.Hash, refusals []Refusal) {
	for _, r := range refusals {
		h.Add(string(r.Object), r.Field, r.Host, string(r.By))
	}
}

// destinations lists the hosts that the routes can lead to; none of nil.
func (r *ServerRoutes) destinations() []string {
	var hosts []string
	if r != nil && len(r.Hosts) > 0 {
		for _, route := range r.HTTP {
			hosts = append(hosts, mesh.DestinationsOf(route, r.Namespace)...)
		}
	}
	return hosts
}

// Refusals lists the hosts that the server and its routes do not get.
func (s Server) Refusals() []Refusal {
	all := slices.Clone(s.refusals)
	for r := range s.Routes.Values() {
		all = append(all, r.refusals...)
	}
	return all
}

// Sources lists the objects that a server was made from.
func (s Server) Sources() []resource.Object {
	sources := []resource.Object{s.Gateway.Object}
	for r := range s.Routes.Values() {
		if len(r.Hosts) > 0 {
			sources = append(sources, r.Object)
		}
	}
	slices.SortFunc(sources, func(a, b resource.Object) int { return cmp.Compare(a, b) })
	return slices.Compact(sources)
}
