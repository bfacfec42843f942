package envoy

import (
	"fmt"
	"regexp"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/scope"
)

// routeTranslator turns the routes of one VirtualService into Envoy's.
type routeTranslator struct {
	v         *scope.VirtualService
	port      uint32 // the port that the requests were sent to
	operation string
	edge      bool // the requests are of untrusted clients
}

// routes has one route for each alternative, up to the first that matches everything. A rule without an action is skipped;
// admission has warned of it.
func (t routeTranslator) routes() ([]*routev3.Route, error) {
	var routes []*routev3.Route
	for i, r := range t.v.HTTP {
		if len(r.GetRoute()) == 0 && r.GetRedirect() == nil {
			continue
		}
		matches := r.GetMatch()
		if len(matches) == 0 {
			matches = []*networking.HTTPMatchRequest{nil}
		}
		for _, m := range matches {
			route, err := t.route(r, m)
			if err != nil {
				return nil, fmt.Errorf("translate http[%d]: %w", i, err)
			}
			routes = append(routes, route)
			if matchesAll(route.Match) {
				return routes, nil
			}
		}
	}
	return routes, nil
}

func (t routeTranslator) route(r *networking.HTTPRoute, m *networking.HTTPMatchRequest) (*routev3.Route, error) {
	out := &routev3.Route{Name: routeName(r, m), Match: matchOf(m), Decorator: &routev3.Decorator{Operation: t.operation + "/*"}}
	if f := faultOf(r.GetFault()); f != nil {
		out.TypedPerFilterConfig = map[string]*anypb.Any{faultFilterName: pack(f)}
	}
	if r.GetRedirect() != nil {
		redirect, err := redirectOf(r.GetRedirect())
		out.Action = &routev3.Route_Redirect{Redirect: redirect}
		return out, err
	}
	action, err := t.action(r, m)
	out.Action = &routev3.Route_Route{Route: action}
	return out, err
}

func routeName(r *networking.HTTPRoute, m *networking.HTTPMatchRequest) string {
	name := r.GetName()
	if m.GetName() != "" {
		name = strings.TrimPrefix(name+"."+m.GetName(), ".")
	}
	return name
}

func (t routeTranslator) action(r *networking.HTTPRoute, m *networking.HTTPMatchRequest) (*routev3.RouteAction, error) {
	a := &routev3.RouteAction{Timeout: seconds(0), RetryPolicy: retriesOf(r.GetRetries())}
	if r.GetTimeout() != nil {
		a.Timeout = r.GetTimeout()
	}
	if t.edge {
		a.IdleTimeout = routeIdleTimeout(r.GetTimeout())
	}
	if err := t.setClusters(a, r.GetRoute()); err != nil {
		return nil, err
	}
	if rewrite := r.GetRewrite(); rewrite != nil {
		rewriteURI(a, rewrite.GetUri(), m)
		if rewrite.GetAuthority() != "" {
			a.HostRewriteSpecifier = &routev3.RouteAction_HostRewriteLiteral{HostRewriteLiteral: rewrite.GetAuthority()}
		}
	}
	if mirror := r.GetMirror(); mirror != nil {
		share := 100.0
		if r.GetMirrorPercentage() != nil {
			share = r.GetMirrorPercentage().GetValue()
		}
		if share > 0 {
			a.RequestMirrorPolicies = []*routev3.RouteAction_RequestMirrorPolicy{{
				Cluster:         t.cluster(mirror),
				RuntimeFraction: &corev3.RuntimeFractionalPercent{DefaultValue: fractionOf(share)},
				TraceSampled:    wrapperspb.Bool(false),
			}}
		}
	}
	return a, nil
}

// setClusters distributes the requests by weight. Destinations without a weight get none, unless there is only one.
func (t routeTranslator) setClusters(a *routev3.RouteAction, destinations []*networking.HTTPRouteDestination) error {
	var weighted []*routev3.WeightedCluster_ClusterWeight
	for _, d := range destinations {
		if d.GetWeight() > 0 || len(destinations) == 1 {
			weighted = append(weighted, &routev3.WeightedCluster_ClusterWeight{
				Name: t.cluster(d.GetDestination()), Weight: wrapperspb.UInt32(uint32(max(d.GetWeight(), 0))),
			})
			if t.v.Affine[mesh.ResolveHost(d.GetDestination().GetHost(), t.v.Namespace)] {
				a.HashPolicy = routeAffinity()
			}
		}
	}
	switch len(weighted) {
	case 0:
		return fmt.Errorf("no destination has a weight")
	case 1:
		a.ClusterSpecifier = &routev3.RouteAction_Cluster{Cluster: weighted[0].Name}
	default:
		a.ClusterSpecifier = &routev3.RouteAction_WeightedClusters{WeightedClusters: &routev3.WeightedCluster{Clusters: weighted}}
	}
	return nil
}

// cluster names a destination. A port that is not given is the service's only one, or the one that the request was sent to.
func (t routeTranslator) cluster(d *networking.Destination) string {
	host := mesh.ResolveHost(d.GetHost(), t.v.Namespace)
	port := d.GetPort().GetNumber()
	if port == 0 {
		port = t.port
		if only, ok := t.v.Ports[host]; ok {
			port = only
		}
	}
	return outboundName(port, d.GetSubset(), host)
}

// rewriteURI replaces the matched part of the path. A prefix that is replaced by a slash takes the slash after it along:
// /api to / makes /v1 of /api/v1, not //v1.
func rewriteURI(a *routev3.RouteAction, uri string, m *networking.HTTPMatchRequest) {
	if uri == "" {
		return
	}
	prefix := m.GetUri().GetPrefix()
	if !strings.HasSuffix(uri, "/") || prefix == "" || strings.HasSuffix(prefix, "/") {
		a.PrefixRewrite = uri
		return
	}
	pattern := "^" + regexp.QuoteMeta(prefix) + "/*"
	if m.GetIgnoreUriCase() {
		pattern = "(?i)" + pattern
	}
	a.RegexRewrite = &matcherv3.RegexMatchAndSubstitute{
		Pattern: &matcherv3.RegexMatcher{Regex: pattern}, Substitution: strings.ReplaceAll(uri, `\`, `\\`),
	}
}

var redirectCodes = map[uint32]routev3.RedirectAction_RedirectResponseCode{
	0: routev3.RedirectAction_MOVED_PERMANENTLY, 301: routev3.RedirectAction_MOVED_PERMANENTLY,
	302: routev3.RedirectAction_FOUND, 303: routev3.RedirectAction_SEE_OTHER,
	307: routev3.RedirectAction_TEMPORARY_REDIRECT, 308: routev3.RedirectAction_PERMANENT_REDIRECT,
}

func redirectOf(r *networking.HTTPRedirect) (*routev3.RedirectAction, error) {
	code, ok := redirectCodes[r.GetRedirectCode()]
	if !ok {
		return nil, fmt.Errorf("redirectCode %d is not a redirect", r.GetRedirectCode())
	}
	out := &routev3.RedirectAction{ResponseCode: code, HostRedirect: r.GetAuthority(), PortRedirect: r.GetPort()}
	if r.GetUri() != "" {
		out.PathRewriteSpecifier = &routev3.RedirectAction_PathRedirect{PathRedirect: r.GetUri()}
	}
	if r.GetScheme() != "" {
		out.SchemeRewriteSpecifier = &routev3.RedirectAction_SchemeRedirect{SchemeRedirect: r.GetScheme()}
	}
	return out, nil
}
