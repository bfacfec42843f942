package istioconfig

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	networking "istio.io/api/networking/v1alpha3"
	"k8s.io/apimachinery/pkg/util/validation"
)

// meshGateway is the reserved name for the sidecars of the mesh.
const meshGateway = "mesh"

var headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

// retryOn are the conditions that Envoy knows for HTTP and gRPC; anything else it ignores without a word.
var retryOn = strings.Fields(`5xx gateway-error reset reset-before-request connect-failure envoy-ratelimited retriable-4xx
	refused-stream retriable-status-codes retriable-headers http3-post-connect-failure
	cancelled deadline-exceeded internal resource-exhausted unavailable`)

var redirectCodes = []uint32{0, 301, 302, 303, 307, 308}

func (c *checker) virtualService(vs *networking.VirtualService) {
	if !c.virtualServiceLimits(vs) {
		return
	}
	gateways := vs.GetGateways()
	if len(gateways) == 0 {
		gateways = []string{meshGateway}
	}
	if len(vs.GetHosts()) == 0 {
		c.add("spec.hosts", "is required", "name the hosts whose requests these rules are for; a delegate, which has none, is not supported yet")
	}
	for i, host := range vs.GetHosts() {
		field := fmt.Sprintf("spec.hosts[%d]", i)
		c.host(field, host, true)
		if host == "*" && slices.Contains(gateways, meshGateway) {
			c.add(field, `"*" would take over every request of the mesh`, "name the hosts, or a gateway in spec.gateways")
		}
	}
	c.unique("spec.hosts", vs.GetHosts())
	for i, name := range vs.GetGateways() {
		c.gatewayName(fmt.Sprintf("spec.gateways[%d]", i), name)
	}
	c.unique("spec.gateways", resolveGateways(vs.GetGateways(), c.own))
	if len(vs.GetHttp())+len(vs.GetTls())+len(vs.GetTcp()) == 0 {
		c.add("spec.http", "is required", "add a rule with a route")
	}
	for i, route := range vs.GetHttp() {
		c.httpRoute(fmt.Sprintf("spec.http[%d]", i), route, gateways)
	}
	c.exportTo(vs.GetExportTo())
}

// gatewayName accepts mesh, name and namespace/name, where "." is the object's own namespace.
func (c *checker) gatewayName(field, name string) {
	parts := strings.Split(name, "/")
	if len(parts) > 2 {
		c.addf(field, "%q is neither a name nor namespace/name", name)
		return
	}
	for i, part := range parts {
		own := i == 0 && len(parts) == 2 && part == "."
		if !own && len(validation.IsDNS1123Subdomain(part)) > 0 {
			c.addf(field, "%q is not the name of a gateway", part)
		}
	}
}

func (c *checker) httpRoute(path string, r *networking.HTTPRoute, gateways []string) {
	for i, m := range r.GetMatch() {
		c.httpMatch(fmt.Sprintf("%s.match[%d]", path, i), m, gateways)
	}
	if r.GetRedirect() != nil {
		c.redirect(path, r)
	}
	c.destinations(path+".route", r.GetRoute())
	if w := r.GetRewrite(); w != nil && w.GetUri() == "" && w.GetAuthority() == "" && w.GetUriRegexRewrite() == nil {
		c.addf(path+".rewrite", "has neither uri nor authority")
	}
	if a := r.GetRewrite().GetAuthority(); a != "" {
		c.authority(path+".rewrite.authority", a)
	}
	c.timeout(path+".timeout", r)
	c.retries(path+".retries", r.GetRetries())
	c.fault(path+".fault", r.GetFault())
	if m := r.GetMirror(); m != nil {
		c.destination(path+".mirror", m)
	} else if r.GetMirrorPercentage() != nil {
		c.addf(path+".mirrorPercentage", "needs mirror")
	}
	c.percent(path+".mirrorPercentage", r.GetMirrorPercentage())
}

func (c *checker) timeout(field string, r *networking.HTTPRoute) {
	if d := r.GetTimeout(); d != nil && d.AsDuration() != 0 { // 0s means none
		c.duration(field, d, time.Millisecond)
	}
}

func (c *checker) httpMatch(path string, m *networking.HTTPMatchRequest, gateways []string) {
	c.stringMatch(path+".uri", m.GetUri())
	c.stringMatch(path+".scheme", m.GetScheme())
	c.stringMatch(path+".method", m.GetMethod())
	c.stringMatch(path+".authority", m.GetAuthority())
	c.headerMatches(path+".headers", m.GetHeaders())
	c.labels(path+".sourceLabels", m.GetSourceLabels())
	for i, g := range m.GetGateways() {
		if !slices.Contains(resolveGateways(gateways, c.own), ResolveGateway(g, c.own)) {
			c.add(fmt.Sprintf("%s.gateways[%d]", path, i), fmt.Sprintf("%q is not in spec.gateways", g), "add it there")
		}
	}
}

func (c *checker) headerMatches(path string, headers map[string]*networking.StringMatch) {
	for _, name := range sortedKeys(headers) {
		field := path + "[" + name + "]"
		switch {
		case strings.HasPrefix(name, "@"):
			c.add(field, "not supported yet: a match on claims of a token", "")
		case !headerName.MatchString(name):
			c.add(field, "is not a header name", "match uri, scheme, method and authority by their own fields")
		}
		if headers[name].GetRegex() != "*" { // what Istio always took for: present
			c.stringMatch(field, headers[name])
		}
	}
}

func (c *checker) redirect(path string, r *networking.HTTPRoute) {
	redirect := r.GetRedirect()
	if len(r.GetRoute()) > 0 {
		c.add(path, "has both route and redirect", "split it into two rules")
	}
	if r.GetRewrite() != nil {
		c.add(path, "has both rewrite and redirect", "a redirect has a uri of its own")
	}
	if redirect.GetUri() == "" && redirect.GetAuthority() == "" && redirect.GetScheme() == "" && redirect.GetRedirectPort() == nil {
		c.add(path+".redirect", "leads to the URL that was requested: the client would repeat it", "set uri, authority, scheme or port")
	}
	if !slices.Contains(redirectCodes, redirect.GetRedirectCode()) {
		c.add(path+".redirect.redirectCode", fmt.Sprintf("%d is not a redirect", redirect.GetRedirectCode()), "use 301, 302, 303, 307 or 308")
	}
	if s := redirect.GetScheme(); s != "" && s != "http" && s != "https" {
		c.addf(path+".redirect.scheme", "%q is neither http nor https", s)
	}
	if port, ok := redirect.GetRedirectPort().(*networking.HTTPRedirect_Port); ok {
		c.portNumber(path+".redirect.port", port.Port)
	}
	if a := redirect.GetAuthority(); a != "" {
		c.authority(path+".redirect.authority", a)
	}
}

// authority refuses what would break out of the header or the URL it is written into.
func (c *checker) authority(field, value string) {
	if strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '/' || r == '?' || r == '#' || r == '@' }) {
		c.addf(field, "%q is not host or host:port", value)
	}
}

func (c *checker) destinations(path string, list []*networking.HTTPRouteDestination) {
	var sum int64
	for i, d := range list {
		field := fmt.Sprintf("%s[%d]", path, i)
		if d.GetDestination() == nil {
			c.addf(field+".destination", "is required")
		} else {
			c.destination(field+".destination", d.GetDestination())
		}
		c.notNegative(field+".weight", d.GetWeight())
		sum += int64(max(d.GetWeight(), 0))
	}
	switch {
	case len(list) > 1 && sum == 0:
		c.add(path, "the weights sum up to 0", "give the destinations weights that sum up to 100")
	case sum > math.MaxUint32:
		c.addf(path, "the weights sum up to more than %d", uint32(math.MaxUint32))
	}
}

func (c *checker) destination(path string, d *networking.Destination) {
	c.host(path+".host", d.GetHost(), false)
	if d.GetSubset() != "" {
		c.subset(path+".subset", d.GetSubset())
	}
	if d.GetPort().GetNumber() != 0 {
		c.portNumber(path+".port.number", d.GetPort().GetNumber())
	}
}

func (c *checker) retries(path string, r *networking.HTTPRetry) {
	c.notNegative(path+".attempts", r.GetAttempts())
	c.duration(path+".perTryTimeout", r.GetPerTryTimeout(), time.Millisecond)
	if r.GetRetryOn() == "" {
		return
	}
	for _, word := range strings.Split(r.GetRetryOn(), ",") {
		word = strings.TrimSpace(word)
		if !slices.Contains(retryOn, word) && !isStatus(word) {
			c.add(path+".retryOn", fmt.Sprintf("%q is neither a condition nor a status code", word), "use conditions such as 5xx, connect-failure, reset, unavailable")
		}
	}
}

func isStatus(word string) bool {
	n, err := strconv.Atoi(word)
	return err == nil && n >= 100 && n <= 599
}

func (c *checker) fault(path string, f *networking.HTTPFaultInjection) {
	if f == nil {
		return
	}
	if f.GetDelay() == nil && f.GetAbort() == nil {
		c.addf(path, "has neither delay nor abort")
	}
	if d := f.GetDelay(); d != nil {
		c.delay(path+".delay", d)
	}
	if a := f.GetAbort(); a != nil {
		c.abort(path+".abort", a)
	}
}

func (c *checker) delay(path string, d *networking.HTTPFaultInjection_Delay) {
	if d.GetHttpDelayType() == nil {
		c.addf(path+".fixedDelay", "is required")
	}
	c.duration(path+".fixedDelay", d.GetFixedDelay(), time.Millisecond)
	c.percent(path+".percentage", d.GetPercentage())
}

func (c *checker) abort(path string, a *networking.HTTPFaultInjection_Abort) {
	switch e := a.GetErrorType().(type) {
	case nil:
		c.addf(path+".httpStatus", "is required")
	case *networking.HTTPFaultInjection_Abort_HttpStatus:
		if e.HttpStatus < 200 || e.HttpStatus > 599 {
			c.addf(path+".httpStatus", "%d is not a status that can be returned: 200 to 599", e.HttpStatus)
		}
	}
	c.percent(path+".percentage", a.GetPercentage())
}
