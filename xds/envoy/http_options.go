package envoy

import (
	"fmt"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Limits of the headers of a message. Between workloads and proxies of the mesh they only stop broken peers; clients of
// gateways get Envoy's defaults.
const (
	meshHeaders       = 1000
	meshHeadersKiB    = 1024
	gatewayHeaders    = 100
	gatewayHeadersKiB = 60
)

// upstreamOptions are the limits of responses. They come from workloads of the mesh, also to a gateway.
func upstreamOptions() *corev3.HttpProtocolOptions {
	return &corev3.HttpProtocolOptions{
		MaxHeadersCount: wrapperspb.UInt32(meshHeaders), MaxResponseHeadersKb: wrapperspb.UInt32(meshHeadersKiB),
	}
}

// supportedUpgrade is the only protocol that a connection can be upgraded to.
const supportedUpgrade = "websocket"

// http1Options accept every method with valid characters (RFC 9110 section 9.1 lets anybody define one), ignore offers of
// upgrades that are not supported (section 7.8: a server may), and serve HTTP/1.0, which nginx speaks to its upstreams.
func http1Options() *corev3.Http1ProtocolOptions {
	return &corev3.Http1ProtocolOptions{
		AcceptHttp_10:        true,
		AllowCustomMethods:   true,
		IgnoreHttp_11Upgrade: []*matcherv3.StringMatcher{anythingBut(supportedUpgrade)},
	}
}

// anythingBut matches every text except one, in any case. RE2 has no negation: a text differs at some letter, ends early, or
// goes on.
func anythingBut(text string) *matcherv3.StringMatcher {
	var alternatives []string
	for i := range text {
		alternatives = append(alternatives, text[:i], fmt.Sprintf("%s[^%c].*", text[:i], text[i]))
	}
	regex := "(?i)(" + strings.Join(append(alternatives, text+".+"), "|") + ")"
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: regex}}}
}

// noHost is the host of an HTTP/1.0 request without one, to a listener that all addresses of a port share: Envoy finds
// services by host, so it is handled as a request to an unknown host. No client can resolve the name (RFC 6761). Listeners
// of one service have that service's host in its place. (Neither a header mutation may set the host, nor does a cluster
// matcher on the destination's address work: it ends Envoy 1.40 with a segmentation fault.)
const noHost = "no-host.invalid"
