package envoy

import (
	"net/netip"
	"slices"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/scope"
)

// routes adds what a sidecar does with the HTTP requests that its workload sends to a port.
func (c *collector) routes(port uint32, services []*scope.Service) {
	key := mesh.NewHash().Add("routes", c.scope.Outbound.Namespace).Uint(uint64(port))
	var sources []resource.Object
	for _, s := range services {
		key.Add(s.Key)
		sources = append(sources, s.Object)
		if s.Routes != nil {
			c.destinationsKey(key, s.Routes)
			sources = append(sources, s.Routes.Object)
		}
	}
	for _, v := range c.scope.Outbound.Foreign {
		key.Add(v.Key)
		for _, host := range v.Hosts {
			key.Bool(c.service(host) == nil)
		}
		c.destinationsKey(key, v)
		sources = append(sources, v.Object)
	}
	c.add(key, sortedObjects(sources), func(d *draft) {
		b := &hosts{draft: d, find: c.service, port: port, taken: map[string]bool{}}
		for _, s := range oldestFirst(services) {
			b.service(s, c.scope.Outbound.Namespace)
		}
		for _, v := range c.scope.Outbound.Foreign {
			b.foreign(v, func(host string) bool { return c.service(host) == nil })
		}
		list := append(b.sorted(), c.catchAll())
		d.emit(resource.Route, number(port), routeConfiguration(number(port), list))
	})
}

// destinationsKey adds to a key what the translation of v reads of the services that it leads to.
func (c *collector) destinationsKey(key mesh.Hash, v *scope.VirtualService) {
	for _, r := range v.HTTP {
		for _, d := range r.GetRoute() {
			c.destinationKey(key, mesh.ResolveHost(d.GetDestination().GetHost(), v.Namespace))
		}
		if m := r.GetMirror(); m != nil {
			c.destinationKey(key, mesh.ResolveHost(m.GetHost(), v.Namespace))
		}
	}
}

func (c *collector) destinationKey(key mesh.Hash, host string) {
	if s := c.service(host); s != nil {
		key.Add(s.Key)
	}
}

// service finds a service of the scope; the list is sorted by host.
func (c *collector) service(host string) *mesh.Service {
	var list []*scope.Service
	if c.scope.Outbound != nil {
		list = c.scope.Outbound.Services
	} else {
		list = c.scope.Gateway.Services
	}
	i, ok := slices.BinarySearchFunc(list, host, func(s *scope.Service, h string) int { return strings.Compare(s.Host, h) })
	if !ok {
		return nil
	}
	return list[i].Service
}

func oldestFirst(services []*scope.Service) []*scope.Service {
	sorted := slices.Clone(services)
	slices.SortStableFunc(sorted, func(a, b *scope.Service) int { return a.Created.Compare(b.Created) })
	return sorted
}

func routeConfiguration(name string, hosts []*routev3.VirtualHost) *routev3.RouteConfiguration {
	return &routev3.RouteConfiguration{
		Name: name, VirtualHosts: hosts, ValidateClusters: wrapperspb.Bool(false), IgnorePortInHostMatching: true,
	}
}

// catchAll is for hosts that the registry does not know.
func (c *collector) catchAll() *routev3.VirtualHost {
	all := &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}}
	if c.scope.Settings.AllowAnyOutbound {
		return &routev3.VirtualHost{Name: "allow_any", Domains: []string{"*"}, Routes: []*routev3.Route{{
			Name: "allow_any", Match: all, Action: clusterAction(passthroughCluster),
		}}}
	}
	return &routev3.VirtualHost{Name: "block_all", Domains: []string{"*"}, Routes: []*routev3.Route{{
		Name: "block_all", Match: all, Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: 502}},
	}}}
}

func clusterAction(cluster string) *routev3.Route_Route {
	return &routev3.Route_Route{Route: &routev3.RouteAction{
		ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster}, Timeout: seconds(0),
	}}
}

// hosts collects the virtual hosts of one route configuration. Envoy refuses a configuration that has a domain twice, so
// the first to ask gets it.
type hosts struct {
	draft *draft
	find  func(host string) *mesh.Service
	port  uint32
	list  []*routev3.VirtualHost
	taken map[string]bool
}

// service adds the host of a service, with the routes of its VirtualService or straight to it.
func (b *hosts) service(s *scope.Service, caller string) {
	name := s.Host + ":" + number(b.port)
	direct := []*routev3.Route{{
		Name:      "default",
		Match:     &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
		Decorator: &routev3.Decorator{Operation: name + "/*"},
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{
			ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: outboundName(b.port, "", s.Host)},
			Timeout:          seconds(0), RetryPolicy: defaultRetries(),
		}},
	}}
	routes := direct
	if s.Routes != nil && len(s.Routes.HTTP) > 0 {
		if translated := b.translate(s.Routes, name); len(translated) > 0 {
			routes = translated
		}
	}
	b.add(s.Object, &routev3.VirtualHost{Name: name, Domains: domainsOf(s.Service, caller), Routes: routes})
}

// foreign adds the hosts of a VirtualService that are no services.
func (b *hosts) foreign(v *scope.VirtualService, unknown func(host string) bool) {
	for _, host := range v.Hosts {
		if !unknown(host) || len(v.HTTP) == 0 {
			continue
		}
		name := host + ":" + number(b.port)
		if routes := b.translate(v, name); len(routes) > 0 {
			b.add(v.Object, &routev3.VirtualHost{Name: name, Domains: []string{host}, Routes: routes})
		}
	}
}

// translate returns nil, and leaves a problem, if Envoy would refuse the routes of v.
func (b *hosts) translate(v *scope.VirtualService, operation string) []*routev3.Route {
	t := routeTranslator{find: b.find, v: v, port: b.port, operation: operation}
	err := checkPatterns(v.HTTP)
	var routes []*routev3.Route
	if err == nil {
		routes, err = t.routes()
	}
	if err == nil {
		err = validate(&routev3.VirtualHost{Name: operation, Domains: []string{"*"}, Routes: routes})
	}
	if err != nil {
		b.draft.problem(v.Object, "spec.http", err.Error())
		return nil
	}
	return routes
}

func (b *hosts) add(o resource.Object, host *routev3.VirtualHost) {
	var free []string
	for _, domain := range host.Domains {
		if b.taken[domain] {
			continue
		}
		b.taken[domain] = true
		free = append(free, domain)
	}
	if len(free) == 0 {
		b.draft.problem(o, "", "every domain of "+host.Name+" belongs to an older object")
		return
	}
	host.Domains = free
	b.list = append(b.list, host)
}

func (b *hosts) sorted() []*routev3.VirtualHost {
	slices.SortStableFunc(b.list, func(x, y *routev3.VirtualHost) int { return strings.Compare(x.Name, y.Name) })
	return b.list
}

// domainsOf lists what a caller may call a service: its names, those of its aliases, and its addresses. A pod of a headless
// service has a name below each of the service's.
func domainsOf(s *mesh.Service, caller string) []string {
	domains := serviceNames(s.Namespace, s.Name, caller)
	for _, a := range s.Aliases {
		domains = append(domains, serviceNames(a.Namespace, a.Name, caller)...)
	}
	if s.Headless {
		for _, name := range slices.Clone(domains) {
			domains = append(domains, "*."+name)
		}
	}
	for _, ip := range s.Addresses {
		if a, err := netip.ParseAddr(ip); err == nil && a.Is6() {
			ip = "[" + ip + "]"
		}
		domains = append(domains, ip)
	}
	return domains
}

// serviceNames lists the names of a Service, the short one only in its own namespace.
func serviceNames(namespace, name, caller string) []string {
	qualified := name + "." + namespace
	names := []string{mesh.HostOf(namespace, name), qualified, qualified + ".svc"}
	if caller == namespace {
		names = append(names, name)
	}
	return names
}

// edgeHeaders are stripped from what strangers send: they would be believed further in. Envoy strips most of its own by itself.
var edgeHeaders = []string{"x-istio-attributes", "x-envoy-decorator-operation", "x-envoy-original-path"}
