package istioconfig

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	networking "istio.io/api/networking/v1alpha3"
	"k8s.io/apimachinery/pkg/util/validation"
)

// maxDuration keeps every duration within what Envoy can represent.
const maxDuration = 365 * 24 * time.Hour

// checker collects problems; its methods each check one thing and add at most a few.
type checker struct {
	own      string // namespace of the object
	problems []Problem
}

func (c *checker) add(field, reason, fix string) {
	c.problems = append(c.problems, Problem{Field: field, Reason: reason, Fix: fix})
}

func (c *checker) addf(field, format string, args ...any) {
	c.add(field, fmt.Sprintf(format, args...), "")
}

// host accepts what a service or a request may be called: a DNS name in lower case, an address, or with wildcard a
// leading "*" in place of the first characters.
func (c *checker) host(field, host string, wildcard bool) {
	suffix, isWild := strings.CutPrefix(host, "*")
	name := host
	if isWild {
		name = "x" + suffix
	}
	switch {
	case host == "":
		c.addf(field, "is required")
	case isWild && !wildcard:
		c.addf(field, "%q: a wildcard is not allowed here", host)
	case host == "*" || isAddress(host):
	case host != strings.ToLower(host):
		c.add(field, fmt.Sprintf("%q has upper case letters", host), "host names are compared in lower case: write "+strings.ToLower(host))
	case len(validation.IsDNS1123Subdomain(name)) > 0:
		c.add(field, fmt.Sprintf("%q is not a host name", host), "use a service name, a domain name, or *.domain; no scheme, port or path")
	}
}

func isAddress(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Zone() == "" // a zone may hold any characters
}

func (c *checker) portNumber(field string, number uint32) {
	if number < 1 || number > 65535 {
		c.addf(field, "%d is not a port: 1 to 65535", number)
	}
}

// namespace checks the name of a namespace.
func (c *checker) namespace(field, name string) {
	if errs := validation.IsDNS1123Label(name); len(errs) > 0 {
		c.addf(field, "%q is not a name: lower case letters, digits and '-', at most 63", name)
	}
}

func (c *checker) labels(field string, labels map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if len(validation.IsQualifiedName(key)) > 0 {
			c.addf(field, "%q is not a label key", key)
		}
		if len(validation.IsValidLabelValue(labels[key])) > 0 {
			c.addf(field+"["+key+"]", "%q is not a label value", labels[key])
		}
	}
}

// duration checks a duration if there is one.
func (c *checker) duration(field string, d *durationpb.Duration, least time.Duration) {
	if d == nil {
		return
	}
	switch v := d.AsDuration(); {
	case d.CheckValid() != nil || v > maxDuration:
		c.addf(field, "is longer than %s", maxDuration)
	case v < least:
		c.addf(field, "%s is shorter than %s", v, least)
	}
}

func (c *checker) percent(field string, p *networking.Percent) {
	if p != nil && !(p.GetValue() >= 0 && p.GetValue() <= 100) { // also refuses NaN
		c.addf(field+".value", "%v is not a percentage: 0 to 100", p.GetValue())
	}
}

func (c *checker) wholePercent(field string, p int32) {
	if p < 0 || p > 100 {
		c.addf(field, "%d is not a percentage: 0 to 100", p)
	}
}

func (c *checker) notNegative(field string, n int32) {
	if n < 0 {
		c.addf(field, "%d is negative", n)
	}
}

// stringMatch checks the pattern; an absent one matches everything.
func (c *checker) stringMatch(field string, m *networking.StringMatch) {
	if m, ok := m.GetMatchType().(*networking.StringMatch_Regex); ok {
		c.regex(field+".regex", m.Regex)
	}
}

func (c *checker) regex(field, expression string) {
	if expression == "" {
		c.add(field, "is empty", "use prefix or leave the match out")
		return
	}
	if err := CheckRegex(expression); err != nil {
		c.add(field, err.Error(), "RE2 has no look-around and no back-references; a repetition counts as if it were written out")
	}
}

// subset checks the name of a subset: a DNS label, in which Istio allows upper case letters too.
func (c *checker) subset(field, name string) {
	if errs := validation.IsDNS1123Label(strings.ToLower(name)); len(errs) > 0 {
		c.addf(field, "%q is not a name: letters, digits and '-', at most 63", name)
	}
}

// exportTo accepts "*", "." for the object's namespace, and names of namespaces. "~", for none, is for Services: a rule
// that is exported to no namespace has no effect.
func (c *checker) exportTo(values []string) {
	for i, v := range values {
		field := fmt.Sprintf("spec.exportTo[%d]", i)
		switch {
		case v == "~":
			c.add(field, `"~" is no namespace: the rule would have no effect`, `use names, "." or "*", or delete the rule`)
		case v != "*" && v != "." && len(validation.IsDNS1123Label(v)) > 0:
			c.add(field, fmt.Sprintf("%q is not a namespace", v), `use names, "." or "*"`)
		}
	}
}

// unique reports values that come twice.
func (c *checker) unique(field string, values []string) {
	seen := map[string]bool{}
	for i, v := range values {
		if seen[v] {
			c.addf(fmt.Sprintf("%s[%d]", field, i), "%q is there twice", v)
		}
		seen[v] = true
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
