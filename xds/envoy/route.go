package envoy

import (
	"net/netip"
	"slices"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/scope"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

// virtualHosts adds, for each port on which a service speaks HTTP, its host.
func (c *collector) virtualHosts(s *scope.Service) {
	for _, p := range s.Ports {
		if !routedByHost(p) {
			continue
		}
		key := mesh.NewHash().Add("virtual host", s.Key, c.near).Uint(uint64(p.Number))
		c.add(key, routeSources(s), func(d *draft) { d.service(s, p.Number, c.near) })
	}
}

// routeSources lists the objects that the routes of a service are made from.
func routeSources(s *scope.Service) []resource.Object {
	if s.Routes == nil {
		return []resource.Object{s.Object}
	}
	return []resource.Object{s.Object, s.Routes.Object}
}

// service emits the host of a service.
func (d *draft) service(s *scope.Service, port uint32, near string) {
	name := s.Host + ":" + number(port)
	own, others := domainsOf(s.Service, near)
	host := &routev3.VirtualHost{Name: name, Domains: slices.Concat(own, others), Routes: d.serviceRoutes(s, port)}
	d.emitHost(&virtualHost{port: port, object: s.Object, sources: d.sources, created: s.Created, own: len(own)}, host)
}

// serviceRoutes returns the routes of a service's VirtualService, or a default route.
func (d *draft) serviceRoutes(s *scope.Service, port uint32) []*routev3.Route {
	name := s.Host + ":" + number(port)
	action := &routev3.RouteAction{
		ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: outboundName(port, "", s.Host)},
		Timeout:          seconds(0), RetryPolicy: defaultRetries(),
	}
	if s.Affinity {
		action.HashPolicy = routeAffinity()
	}
	routes := []*routev3.Route{{
		Name:      "default",
		Match:     &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
		Decorator: &routev3.Decorator{Operation: name + "/*"},
		Action:    &routev3.Route_Route{Route: action},
	}}
	if s.Routes != nil && len(s.Routes.HTTP) > 0 {
		if translated := d.translate(routeTranslator{v: s.Routes, port: port, operation: name}); len(translated) > 0 {
			routes = translated
		}
	}
	return routes
}

// foreignHosts adds the hosts of a VirtualService that are not Services.
func (c *collector) foreignHosts(v *scope.Foreign, port uint32) {
	if len(v.HTTP) == 0 {
		return
	}
	key := mesh.NewHash().Add("foreign hosts", v.Key).Uint(uint64(port)).List(v.Hosts)
	c.add(key, []resource.Object{v.Object}, func(d *draft) {
		for _, host := range v.Hosts {
			name := host + ":" + number(port)
			if routes := d.translate(routeTranslator{v: v.VirtualService, port: port, operation: name}); len(routes) > 0 {
				d.emitHost(&virtualHost{port: port, object: v.Object, sources: d.sources, created: v.Created},
					&routev3.VirtualHost{Name: name, Domains: []string{host}, Routes: routes})
			}
		}
	})
}

// translate returns nil, and records a problem, if Envoy would reject the routes.
func (d *draft) translate(t routeTranslator) []*routev3.Route {
	err := checkPatterns(t.v.HTTP)
	var routes []*routev3.Route
	if err == nil {
		routes, err = t.routes()
	}
	if err == nil {
		err = validate(&routev3.VirtualHost{Name: t.operation, Domains: []string{"*"}, Routes: routes})
	}
	if err != nil {
		d.problem(t.v.Object, "spec.http", err.Error())
		return nil
	}
	return routes
}

// routes adds the route configuration of a port for HTTP requests of the sidecar's workload: the hosts of Services, other
// hosts, then everything else.
func (c *collector) routes(port string, services table.Table[*virtualHost]) {
	var frames [][]byte
	var sources, rules []resource.Object
	for _, h := range c.claim(port, services) {
		frames = append(frames, h.frame)
		for _, o := range h.sources {
			if o == h.object && h.own > 0 {
				sources = append(sources, o) // the table is in their order
			} else {
				rules = append(rules, o)
			}
		}
	}
	sources = append(sources, sortedObjects(rules)...) // VirtualServices, after Services
	frames = append(frames, frameOf(c.catchAll()))
	c.resources = append(c.resources, resource.Encoded(resource.Route, port, encodeRoutes(port, frames...), sources...))
}

func routeConfiguration(name string, hosts []*routev3.VirtualHost) *routev3.RouteConfiguration {
	return &routev3.RouteConfiguration{
		Name: name, VirtualHosts: hosts, ValidateClusters: wrapperspb.Bool(false), IgnorePortInHostMatching: true,
	}
}

// catchAll is for hosts that are not in the registry.
func (c *collector) catchAll() *routev3.VirtualHost {
	all := &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}}
	if c.scope.Settings.AllowAnyOutbound {
		return &routev3.VirtualHost{Name: "allow_any", Domains: []string{"*"}, Routes: []*routev3.Route{{
			Name: "allow_any", Match: all, Action: clusterAction(passthroughCluster),
		}}}
	}
	return &routev3.VirtualHost{Name: "block_all", Domains: []string{"*"}, Routes: []*routev3.Route{{
		Name: "block_all", Match: all, Metadata: fixedClusterMetadata(blackHoleCluster), Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: 502}},
	}}}
}

func clusterAction(cluster string) *routev3.Route_Route {
	return &routev3.Route_Route{Route: &routev3.RouteAction{
		ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster}, Timeout: seconds(0),
	}}
}

// domainsOf lists the domains by which a client may address a service: its own names, and those of its aliases and pods and its
// addresses.
func domainsOf(s *mesh.Service, caller string) (own, others []string) {
	own, others = s.Names(caller)
	for _, ip := range s.Addresses {
		if a, err := netip.ParseAddr(ip); err == nil && a.Is6() {
			ip = "[" + ip + "]"
		}
		others = append(others, ip)
	}
	return own, others
}

// untrustedHeaders are removed from requests of untrusted clients: services would trust them. Envoy removes most of its own
// headers itself.
var untrustedHeaders = []string{"x-istio-attributes", "x-envoy-decorator-operation", "x-envoy-original-path"}
