package envoy

import (
	"strings"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/scope"
)

// plaintextSuffix marks the cluster and the routes of the endpoints without mutual TLS of a headless service in which others
// have it. A cluster that connects to the original destination cannot decide per endpoint; the listener of an address can.
const plaintextSuffix = "|plaintext"

// mixed reports whether some endpoints of a port accept mutual TLS and others do not.
func mixed(p *mesh.Port) bool { return p.AnyMTLS && !p.AllMTLS }

// headlessListeners adds a listener for each endpoint of a headless service's HTTP port: its clients choose the pod, so the
// address decides and not the host. The pod's port may differ from the service's, and the host may be the pod's address.
func (c *collector) headlessListeners(s *scope.Service, p *mesh.Port, addresses []address) {
	bySuffix := map[string][]address{}
	for _, a := range addresses {
		bySuffix[a.suffix] = append(bySuffix[a.suffix], a)
	}
	for _, suffix := range []string{"", plaintextSuffix} {
		if len(bySuffix[suffix]) > 0 {
			routes := s.Host + ":" + number(p.Number) + suffix
			c.headlessRoutes(s, p, routes, suffix)
			c.httpListeners(s, p, bySuffix[suffix], routes)
		}
	}
}

// httpListeners adds a listener with these routes for each address.
func (c *collector) httpListeners(s *scope.Service, p *mesh.Port, addresses []address, routes string) {
	for _, a := range addresses {
		name := a.ip + "_" + number(a.port)
		c.addReporting(mesh.NewHash().Add("http address listener", routes, name, c.httpListenerName(number(p.Number)), s.Host), []resource.Object{s.Object}, func(d *draft) {
			l := c.outboundListener(a.ip, a.port)
			c.routeHTTP(l, "outbound_"+c.httpListenerName(number(p.Number)), routes, s.Host)
			d.emit(resource.Listener, l.Name, l)
		})
	}
}

// headlessRoutes adds the routes of a service for every host.
func (c *collector) headlessRoutes(s *scope.Service, p *mesh.Port, name, suffix string) {
	c.add(mesh.NewHash().Add("headless routes", s.Key, name), routeSources(s), func(d *draft) {
		reported := len(d.problems) // by virtualHosts, for the same routes
		routes := d.serviceRoutes(s, p.Number)
		d.problems = d.problems[:reported]
		if suffix != "" {
			for _, r := range routes {
				renameClusters(r.GetRoute(), s.Host, suffix)
			}
		}
		all := &routev3.VirtualHost{Name: name, Domains: []string{"*"}, Routes: routes}
		d.emit(resource.Route, name, routeConfiguration(name, []*routev3.VirtualHost{all}))
	})
}

// renameClusters appends suffix to the clusters of a host.
func renameClusters(action *routev3.RouteAction, host, suffix string) {
	if name := action.GetCluster(); strings.HasSuffix(name, "|"+host) {
		action.ClusterSpecifier = &routev3.RouteAction_Cluster{Cluster: name + suffix}
	}
	for _, w := range action.GetWeightedClusters().GetClusters() {
		if strings.HasSuffix(w.Name, "|"+host) {
			w.Name += suffix
		}
	}
}

// routeHTTP routes what is HTTP and sends everything else the way of unknown traffic. A client may be silent for as long as it
// likes, as pools of connections are: after a deadline its requests would not be routed. HTTP/1.0 requests without a host get
// hostless.
func (c *collector) routeHTTP(l *listenerv3.Listener, stat, routes, hostless string) {
	l.ListenerFilters = []*listenerv3.ListenerFilter{tlsInspector(), httpInspector()}
	l.ListenerFiltersTimeout = seconds(0)
	manager := withRoutes(c.hcm(sidecarOutbound, stat), routes)
	manager.HttpProtocolOptions.DefaultHostForHttp_10 = hostless
	l.FilterChains = []*listenerv3.FilterChain{{
		Name:             "http",
		FilterChainMatch: &listenerv3.FilterChainMatch{TransportProtocol: "raw_buffer", ApplicationProtocols: []string{"http/1.0", "http/1.1", "h2c"}},
		Filters:          c.httpChain(sidecarOutbound, "", manager),
	}}
	l.DefaultFilterChain = &listenerv3.FilterChain{Name: "other", Filters: c.tcpChain(sidecarOutbound, c.unknown())}
}
