package describe

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/mesh-operator/mesh-operator/xds/scope"
)

// virtualService writes the routes in their order: the first that matches decides.
func (w *writer) virtualService(depth int, v *scope.VirtualService) {
	for _, r := range v.HTTP {
		w.line(depth, "%s: %s", requests(r.GetMatch()), strings.Join(slices.Concat(goes(r), extras(r)), "; "))
	}
	for _, r := range v.Spec.GetTls() {
		var names []string
		for _, m := range r.GetMatch() {
			names = append(names, m.GetSniHosts()...)
		}
		w.line(depth, "TLS for %s: to %s", strings.Join(names, ", "), tcpDestinations(r.GetRoute()))
	}
	for _, r := range v.Spec.GetTcp() {
		w.line(depth, "TCP connections%s: to %s", tcpMatch(r.GetMatch()), tcpDestinations(r.GetRoute()))
	}
}

func requests(matches []*networking.HTTPMatchRequest) string {
	var alternatives []string
	for _, m := range matches {
		if text := match(m); text != "" {
			alternatives = append(alternatives, text)
		} else {
			return "all requests"
		}
	}
	if len(alternatives) == 0 {
		return "all requests"
	}
	return "requests with " + strings.Join(alternatives, ", or with ")
}

// match is what a request has to have, joined by "and".
func match(m *networking.HTTPMatchRequest) string {
	var parts []string
	add := func(name string, s *networking.StringMatch) {
		if s != nil {
			parts = append(parts, strings.TrimSpace(name+" "+stringMatch(s)))
		}
	}
	add("path", m.GetUri())
	add("method", m.GetMethod())
	add("scheme", m.GetScheme())
	add("host", m.GetAuthority())
	for _, name := range slices.Sorted(maps.Keys(m.GetHeaders())) {
		add("header "+name, m.GetHeaders()[name])
	}
	for _, name := range slices.Sorted(maps.Keys(m.GetWithoutHeaders())) {
		parts = append(parts, strings.TrimSpace("not header "+name+" "+stringMatch(m.GetWithoutHeaders()[name])))
	}
	for _, name := range slices.Sorted(maps.Keys(m.GetQueryParams())) {
		add("query parameter "+name, m.GetQueryParams()[name])
	}
	if m.GetPort() != 0 {
		parts = append(parts, fmt.Sprintf("port %d", m.GetPort()))
	}
	for _, name := range slices.Sorted(maps.Keys(m.GetSourceLabels())) {
		parts = append(parts, "client label "+name+"="+m.GetSourceLabels()[name])
	}
	if m.GetSourceNamespace() != "" {
		parts = append(parts, "client namespace "+m.GetSourceNamespace())
	}
	if len(m.GetGateways()) > 0 {
		parts = append(parts, "gateway "+strings.Join(m.GetGateways(), " or "))
	}
	return strings.Join(parts, " and ")
}

func stringMatch(s *networking.StringMatch) string {
	switch {
	case s.GetExact() != "":
		return s.GetExact()
	case s.GetPrefix() != "":
		return s.GetPrefix() + "*"
	case s.GetRegex() != "":
		return "matching " + s.GetRegex()
	}
	return "" // the header is there
}

// goes is where requests of a route go.
func goes(r *networking.HTTPRoute) []string {
	if d := r.GetRedirect(); d != nil {
		return []string{fmt.Sprintf("redirected to %s%s with %d", d.GetAuthority(), d.GetUri(), max(d.GetRedirectCode(), 301))}
	}
	if d := r.GetDirectResponse(); d != nil {
		return []string{fmt.Sprintf("answered with %d", d.GetStatus())}
	}
	var parts []string
	for _, d := range r.GetRoute() {
		share := ""
		if len(r.GetRoute()) > 1 {
			share = fmt.Sprintf("%d %% ", d.GetWeight())
		}
		parts = append(parts, share+"to "+destination(d.GetDestination()))
	}
	return []string{strings.Join(parts, ", ")}
}

func destination(d *networking.Destination) string {
	text := d.GetHost()
	if d.GetPort().GetNumber() != 0 {
		text += fmt.Sprintf(":%d", d.GetPort().GetNumber())
	}
	if d.GetSubset() != "" {
		text += " subset " + d.GetSubset()
	}
	return text
}

// extras are what else a route does.
func extras(r *networking.HTTPRoute) (parts []string) {
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if r.GetRewrite() != nil {
		add("path rewritten to %s", r.GetRewrite().GetUri())
	}
	if r.GetTimeout() != nil {
		add("timeout %s", r.GetTimeout().AsDuration())
	}
	if n := r.GetRetries(); n != nil {
		add("%d retries", n.GetAttempts())
	}
	if d := r.GetFault().GetDelay(); d != nil {
		add("%g %% delayed by %s", d.GetPercentage().GetValue(), d.GetFixedDelay().AsDuration())
	}
	if a := r.GetFault().GetAbort(); a != nil {
		add("%g %% aborted with %d", a.GetPercentage().GetValue(), a.GetHttpStatus())
	}
	if r.GetMirror() != nil {
		add("copied to %s", destination(r.GetMirror()))
	}
	for _, m := range r.GetMirrors() {
		add("copied to %s", destination(m.GetDestination()))
	}
	if r.GetCorsPolicy() != nil {
		add("CORS answered")
	}
	if r.GetHeaders() != nil {
		add("headers changed")
	}
	return parts
}

func tcpMatch(matches []*networking.L4MatchAttributes) string {
	var parts []string
	for _, m := range matches {
		if m.GetPort() != 0 {
			parts = append(parts, fmt.Sprintf("port %d", m.GetPort()))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return " to " + strings.Join(parts, ", ")
}

func tcpDestinations(routes []*networking.RouteDestination) string {
	var parts []string
	for _, d := range routes {
		share := ""
		if len(routes) > 1 {
			share = fmt.Sprintf("%d %% ", d.GetWeight())
		}
		parts = append(parts, share+destination(d.GetDestination()))
	}
	return strings.Join(parts, ", ")
}

// rule writes the policies of DestinationRules.
func (w *writer) rule(depth int, r *scope.Rule) {
	for _, text := range policy(r.Policy) {
		w.line(depth, "%s", text)
	}
	for _, port := range r.Policy.GetPortLevelSettings() {
		w.line(depth, "port %d: %s", port.GetPort().GetNumber(), strings.Join(policy(&networking.TrafficPolicy{
			LoadBalancer: port.GetLoadBalancer(), ConnectionPool: port.GetConnectionPool(), OutlierDetection: port.GetOutlierDetection(), Tls: port.GetTls(),
		}), "; "))
	}
	for _, s := range r.Subsets {
		var labels []string
		for _, key := range slices.Sorted(maps.Keys(s.GetLabels())) {
			labels = append(labels, key+"="+s.GetLabels()[key])
		}
		text := "subset " + s.GetName() + ": pods with " + strings.Join(labels, ", ")
		if p := policy(s.GetTrafficPolicy()); len(p) > 0 {
			text += "; " + strings.Join(p, "; ")
		}
		w.line(depth, "%s", text)
	}
}

func policy(p *networking.TrafficPolicy) (parts []string) {
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if lb := p.GetLoadBalancer(); lb.GetConsistentHash() != nil {
		add("load balancing by a hash of the request")
	} else if lb != nil {
		add("load balancing %s", lb.GetSimple())
	}
	if n := p.GetConnectionPool().GetTcp().GetMaxConnections(); n != 0 {
		add("at most %d connections", n)
	}
	if d := p.GetConnectionPool().GetTcp().GetConnectTimeout(); d != nil {
		add("connect timeout %s", d.AsDuration())
	}
	h := p.GetConnectionPool().GetHttp()
	if n := h.GetHttp1MaxPendingRequests(); n != 0 {
		add("at most %d pending requests", n)
	}
	if n := h.GetHttp2MaxRequests(); n != 0 {
		add("at most %d requests", n)
	}
	if n := h.GetMaxRequestsPerConnection(); n != 0 {
		add("at most %d requests a connection", n)
	}
	if n := h.GetMaxRetries(); n != 0 {
		add("at most %d retries at a time", n)
	}
	if o := p.GetOutlierDetection(); o != nil {
		add("outlier detection: endpoints that fail are ejected for %s", o.GetBaseEjectionTime().AsDuration())
	}
	if t := p.GetTls(); t != nil {
		add("TLS %s", t.GetMode())
	}
	return parts
}
