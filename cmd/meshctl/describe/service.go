package describe

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/scope"
)

// Service says what applies to a Service; ok is false when the snapshot has none of that name.
func Service(s *mesh.Snapshot, namespace, name string) (text string, ok bool) {
	host := mesh.HostOf(namespace, name)
	service := s.Service(host)
	if service == nil {
		return "", false
	}
	w := newWriter()
	w.findings[service.Object] = true
	w.line(0, "Service %s/%s, host %s", namespace, name, host)
	for _, p := range service.Ports {
		w.line(1, "port %d, %s: %d endpoints, %s", p.Number, p.Protocol, len(p.Endpoints), endpointsMTLS(p))
	}
	w.line(0, "Called by sidecars of namespace %s", namespace)
	w.calledBy(s, namespace, host)
	for _, other := range otherCallers(s, namespace, host) {
		w.line(0, "Called by sidecars of namespace %s, which has rules of its own", other)
		w.calledBy(s, other, host)
	}
	w.exposed(s, host)
	w.pods(s, namespace, name)
	w.problems(s, namespace)
	return w.String(), true
}

func endpointsMTLS(p *mesh.Port) string {
	switch {
	case len(p.Endpoints) == 0:
		return "so every call fails"
	case p.AllMTLS:
		return "all accept mutual TLS"
	case p.AnyMTLS:
		return "some accept mutual TLS"
	}
	return "none accepts mutual TLS"
}

func (w *writer) calledBy(s *mesh.Snapshot, namespace, host string) {
	view := scope.For(s, mesh.Proxy{Type: mesh.Sidecar, Namespace: namespace}).Outbound.Services.Get(host)
	if view == nil {
		w.line(1, "not at all: it is not exported to them")
		return
	}
	w.service(1, view)
}

// otherCallers are the namespaces with rules of their own for a host.
func otherCallers(s *mesh.Snapshot, namespace, host string) []string {
	found := map[string]bool{}
	for _, pattern := range s.Lookup.Patterns(host) {
		for of := range s.Lookup.RoutesByHost.Get(pattern).All() {
			found[of] = true
		}
		for of := range s.Lookup.Rules.Get(pattern).All() {
			found[of] = true
		}
	}
	delete(found, namespace)
	delete(found, s.Settings.RootNamespace)
	return slices.Sorted(maps.Keys(found))
}

// exposed lists the servers of gateways whose routes lead to the host.
func (w *writer) exposed(s *mesh.Snapshot, host string) {
	w.line(0, "Exposed")
	lines := map[string]bool{}
	for _, p := range s.ProxyPods() {
		proxy, ok := s.Proxy(p.Name.Namespace, p.Name.Name)
		if !ok || p.Type != mesh.Router {
			continue
		}
		for _, port := range scope.For(s, *proxy).Gateway.Ports {
			for _, server := range port.Servers {
				w.exposedBy(lines, server, host)
			}
		}
	}
	for _, text := range slices.Sorted(maps.Keys(lines)) {
		w.line(1, "%s", text)
	}
	if len(lines) == 0 {
		w.line(1, "by no gateway")
	}
}

func (w *writer) exposedBy(lines map[string]bool, server scope.Server, host string) {
	for routes := range server.Routes.Values() {
		if slices.Contains(routes.Destinations, host) {
			lines[fmt.Sprintf("by %s, port %d %s, host %s%s", w.names([]resource.Object{server.Gateway.Object}), server.Spec.GetPort().GetNumber(),
				server.Spec.GetPort().GetProtocol(), strings.Join(routes.Hosts, ", "), w.by([]resource.Object{routes.Object}))] = true
		}
	}
}

// gatewayPorts lists what a gateway opens.
func (w *writer) gatewayPorts(g *scope.Gateway) {
	if len(g.Ports) == 0 {
		w.line(1, "nothing: no Gateway selects it")
	}
	for _, port := range g.Ports {
		for _, server := range port.Servers {
			w.line(1, "port %d for hosts %s%s: %s", port.Number, strings.Join(server.Hosts, ", "), w.by([]resource.Object{server.Gateway.Object}), serverTLS(server.Spec))
			for routes := range server.Routes.Values() {
				w.line(2, "routes of %s for %s", w.names([]resource.Object{routes.Object}), strings.Join(routes.Hosts, ", "))
				w.virtualService(3, routes.VirtualService)
			}
		}
	}
	for _, p := range g.Problems {
		w.findings[p.Object] = true
	}
}

func serverTLS(s *networking.Server) string {
	switch {
	case s.GetTls() == nil:
		return s.GetPort().GetProtocol() + " in plain text"
	case s.GetTls().GetHttpsRedirect():
		return "redirects to HTTPS"
	}
	return s.GetPort().GetProtocol() + " with TLS mode " + s.GetTls().GetMode().String()
}

// pods lists the pods behind the Service, with what they admit.
func (w *writer) pods(s *mesh.Snapshot, namespace, name string) {
	w.line(0, "Pods")
	service := s.Inputs().Services.Get(mesh.Name{Namespace: namespace, Name: name}.String())
	count := 0
	for pod := range s.Inputs().Pods.Values() {
		if service == nil || pod.Namespace != namespace || len(service.Spec.Selector) == 0 || !mesh.Selects(service.Spec.Selector, pod.Labels) {
			continue
		}
		count++
		w.line(1, "%s: %s", pod.Name, w.admits(s, pod, name))
	}
	if count == 0 {
		w.line(1, "none")
	}
}

func (w *writer) admits(s *mesh.Snapshot, pod *corev1.Pod, service string) string {
	if _, has := mesh.ProxyIn(pod); !has {
		return "no sidecar"
	}
	proxy, ok := s.Proxy(pod.Namespace, pod.Name)
	if !ok {
		return "no sidecar"
	}
	var parts []string
	for _, in := range proxy.Inbound {
		if in.Name == service {
			parts = append(parts, fmt.Sprintf("port %d %s", in.Port, modes[in.Mode]))
		}
	}
	if len(parts) == 0 {
		parts = []string{"another Service decides about its ports"}
	}
	return "sidecar" + version(pod) + ", " + strings.Join(parts, ", ") + w.by(proxy.Policies)
}
