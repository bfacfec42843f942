package envoy

import (
	"maps"
	"slices"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
	networking "istio.io/api/networking/v1alpha3"
)

// matchOf is one alternative of a route; nil matches everything. Conditions on the caller and the gateway were evaluated when
// the scope was made.
func matchOf(m *networking.HTTPMatchRequest) *routev3.RouteMatch {
	out := &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}}
	switch uri := m.GetUri().GetMatchType().(type) {
	case *networking.StringMatch_Exact:
		out.PathSpecifier = &routev3.RouteMatch_Path{Path: uri.Exact}
	case *networking.StringMatch_Prefix:
		out.PathSpecifier = &routev3.RouteMatch_Prefix{Prefix: uri.Prefix}
	case *networking.StringMatch_Regex:
		out.PathSpecifier = &routev3.RouteMatch_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: uri.Regex}}
	}
	if m.GetIgnoreUriCase() {
		out.CaseSensitive = wrapperspb.Bool(false)
	}
	if m.GetMethod() != nil {
		out.Headers = append(out.Headers, headerMatch(":method", m.GetMethod()))
	}
	if m.GetAuthority() != nil {
		out.Headers = append(out.Headers, headerMatch(":authority", m.GetAuthority()))
	}
	for _, name := range slices.Sorted(maps.Keys(m.GetHeaders())) {
		out.Headers = append(out.Headers, headerMatch(name, m.GetHeaders()[name]))
	}
	return out
}

// headerMatch matches a header; an empty match requires only its presence.
func headerMatch(name string, m *networking.StringMatch) *routev3.HeaderMatcher {
	out := &routev3.HeaderMatcher{Name: name}
	if s := stringMatch(m); s != nil {
		out.HeaderMatchSpecifier = &routev3.HeaderMatcher_StringMatch{StringMatch: s}
	} else {
		out.HeaderMatchSpecifier = &routev3.HeaderMatcher_PresentMatch{PresentMatch: true}
	}
	return out
}

func stringMatch(m *networking.StringMatch) *matcherv3.StringMatcher {
	switch match := m.GetMatchType().(type) {
	case *networking.StringMatch_Exact:
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: match.Exact}}
	case *networking.StringMatch_Prefix:
		if match.Prefix != "" {
			return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: match.Prefix}}
		}
	case *networking.StringMatch_Regex:
		if match.Regex != "*" && match.Regex != "" {
			return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: match.Regex}}}
		}
	}
	return nil
}

// matchesAll reports whether no later route can be reached.
func matchesAll(m *routev3.RouteMatch) bool {
	if len(m.Headers) > 0 || len(m.QueryParameters) > 0 {
		return false
	}
	switch path := m.PathSpecifier.(type) {
	case *routev3.RouteMatch_Prefix:
		return path.Prefix == "/"
	case *routev3.RouteMatch_SafeRegex:
		return path.SafeRegex.GetRegex() == ".*"
	}
	return false
}
