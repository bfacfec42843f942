package envoy

import (
	"slices"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/scope"
)

// misdirectedRequest is the status 421 (RFC 9110, section 15.5.20): the client opens another connection for this host.
const misdirectedRequest = 421

// gatewayRoutes adds the routes of servers that share a connection manager. Without any the response is 404, as it is for
// hosts and paths without a route. For misdirected hosts, which have no routes here, it is 421.
func (c *collector) gatewayRoutes(name string, servers []scope.Server, misdirected []string) {
	var sources []resource.Object
	for _, s := range servers {
		sources = append(sources, s.Sources()...)
	}
	c.make(sortedObjects(sources), func(d *draft) {
		g := &gatewayHosts{draft: d, byDomain: map[string]*routev3.VirtualHost{}, first: map[string]*mesh.Gateway{}}
		for _, s := range servers {
			g.server(s)
		}
		g.refuse(misdirected)
		config := routeConfiguration(name, g.done())
		config.RequestHeadersToRemove = untrustedHeaders
		d.emit(resource.Route, name, config)
	})
}

// retryBodyLimit is how much of a request's body a gateway keeps, so that it can try another server when the first cannot be
// reached. It is Envoy's default for a connection; the listener's own limit is for what waits, and far lower.
const retryBodyLimit = 1 << 20

// gatewayHosts collects virtual hosts by domain: several VirtualServices may have routes for one host.
type gatewayHosts struct {
	draft    *draft
	port     uint32
	list     []*routev3.VirtualHost
	byDomain map[string]*routev3.VirtualHost
	merged   map[string]bool // domain and view of a VirtualService, whose routes are there already
	first    map[string]*mesh.Gateway
}

func (g *gatewayHosts) server(s scope.Server) {
	g.port = s.Spec.GetPort().GetNumber()
	for _, domain := range reservedDomains(s) {
		g.host(domain, s.Gateway)
	}
	for r := range s.Routes.Values() {
		for _, domain := range r.Hosts {
			routes := g.draft.translate(routeTranslator{v: r.VirtualService, port: g.port, operation: domain + ":" + number(g.port), edge: true})
			if len(routes) == 0 {
				continue
			}
			g.merge(domain, string(r.Object)+"\x00"+r.Key, s.Gateway, routes)
		}
	}
	if s.Spec.GetTls().GetHttpsRedirect() {
		g.redirect(s)
	}
}

// redirect redirects the server's hosts to HTTPS. A host of an older Gateway in another namespace stays as that Gateway says:
// else one object would disable another tenant's plaintext page.
func (g *gatewayHosts) redirect(s scope.Server) {
	domains := serverDomains(s)
	for r := range s.Routes.Values() {
		domains = append(domains, r.Hosts...)
	}
	slices.Sort(domains)
	for _, domain := range slices.Compact(domains) {
		host := g.host(domain, s.Gateway)
		if first := g.first[domain]; first.Namespace != s.Gateway.Namespace {
			g.draft.problem(s.Gateway.Object, serverField(s, "tls.httpsRedirect"), domain+" belongs to the older "+string(first.Object))
			continue
		}
		host.RequireTls = routev3.VirtualHost_ALL
	}
}

// reservedDomains are the hosts that a server reserves for namespaces. They have a virtual host even without a route: else a
// wildcard of another namespace would match.
func reservedDomains(s scope.Server) []string {
	var domains []string
	for _, h := range s.Hosts {
		namespace, host, ok := strings.Cut(h, "/")
		if ok && namespace != "*" && !slices.Contains(s.Hosts, "*/"+host) && !slices.Contains(s.Hosts, host) {
			domains = append(domains, host)
		}
	}
	return domains
}

// refuse answers 421 for domains without routes.
func (g *gatewayHosts) refuse(domains []string) {
	domains = slices.DeleteFunc(slices.Clone(domains), func(d string) bool { return g.byDomain[d] != nil })
	if len(domains) == 0 {
		return
	}
	slices.Sort(domains)
	g.list = append(g.list, &routev3.VirtualHost{Name: "misdirected", Domains: slices.Compact(domains), Routes: []*routev3.Route{{
		Name:   "misdirected",
		Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
		Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: misdirectedRequest}},
	}}})
}

func serverDomains(s scope.Server) []string {
	var domains []string
	for _, host := range s.Hosts {
		domains = append(domains, mesh.HostPart(host))
	}
	return domains
}

// merge appends routes to a host's, once for each VirtualService as one Gateway or several see it.
func (g *gatewayHosts) merge(domain, view string, gateway *mesh.Gateway, routes []*routev3.Route) {
	host := g.host(domain, gateway)
	if g.merged == nil {
		g.merged = map[string]bool{}
	}
	if id := domain + "\x00" + view; !g.merged[id] {
		g.merged[id] = true
		host.Routes = append(host.Routes, routes...)
	}
}

func last(r *routev3.Route) int {
	if matchesAll(r.Match) {
		return 1
	}
	return 0
}

func (g *gatewayHosts) host(domain string, gateway *mesh.Gateway) *routev3.VirtualHost {
	host, ok := g.byDomain[domain]
	if !ok {
		host = &routev3.VirtualHost{Name: domain + ":" + number(g.port), Domains: []string{domain}, RequestBodyBufferLimit: wrapperspb.UInt64(retryBodyLimit)}
		g.byDomain[domain], g.first[domain] = host, gateway
		g.list = append(g.list, host)
	}
	return host
}

// done returns at least one host, so that Envoy does not wait for more. A route that matches everything is moved to the end,
// or the older of two VirtualServices would hide the younger.
func (g *gatewayHosts) done() []*routev3.VirtualHost {
	if len(g.list) == 0 {
		return []*routev3.VirtualHost{{Name: "blackhole", Domains: []string{"*"}}}
	}
	for _, host := range g.list {
		slices.SortStableFunc(host.Routes, func(a, b *routev3.Route) int { return last(a) - last(b) })
	}
	slices.SortStableFunc(g.list, func(a, b *routev3.VirtualHost) int { return strings.Compare(a.Name, b.Name) })
	return g.list
}
