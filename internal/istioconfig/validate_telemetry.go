package istioconfig

import (
	"fmt"
	"net/textproto"
	"slices"
	"strings"

	telemetry "istio.io/api/telemetry/v1alpha1"
	"k8s.io/apimachinery/pkg/util/validation"
)

func (c *checker) telemetry(t *telemetry.Telemetry) {
	c.labels("spec.selector.matchLabels", t.GetSelector().GetMatchLabels())
	if len(t.GetTracing())+len(t.GetAccessLogging())+len(t.GetMetrics()) == 0 {
		c.add("spec", "says nothing", "add accessLogging, metrics or tracing, or delete it")
	}
	for i, m := range t.GetMetrics() {
		c.metrics(fmt.Sprintf("spec.metrics[%d]", i), m)
	}
	for i, l := range t.GetAccessLogging() {
		c.accessLogging(fmt.Sprintf("spec.accessLogging[%d]", i), l)
	}
	for i, s := range t.GetTracing() {
		c.tracing(fmt.Sprintf("spec.tracing[%d]", i), s)
	}
}

func (c *checker) accessLogging(path string, l *telemetry.AccessLogging) {
	c.providers(path+".providers", l.GetProviders())
	if l.GetFilter() == nil {
		return
	}
	if l.GetDisabled().GetValue() {
		c.add(path+".filter", "has no effect beside disabled: true", "remove one of the two")
	}
	if err := CheckLogFilter(l.GetFilter().GetExpression()); err != nil {
		c.add(path+".filter.expression", err.Error(), "write a condition such as response.code >= 500, or leave filter out")
	}
}

func (c *checker) tracing(path string, t *telemetry.Tracing) {
	c.providers(path+".providers", t.GetProviders())
	if len(t.GetProviders()) > 1 {
		c.add(path+".providers", "a proxy reports spans to one provider", "name one")
	}
	if p := t.GetRandomSamplingPercentage(); p != nil && !(p.GetValue() >= 0 && p.GetValue() <= 100) { // also refuses NaN
		c.addf(path+".randomSamplingPercentage", "%v is not a percentage: 0 to 100", p.GetValue())
	}
	for _, name := range sortedKeys(t.GetCustomTags()) {
		c.customTag(fmt.Sprintf("%s.customTags[%s]", path, name), name, t.GetCustomTags()[name])
	}
}

func (c *checker) providers(path string, refs []*telemetry.ProviderRef) {
	var names []string
	for i, ref := range refs {
		if ref.GetName() == "" {
			c.addf(fmt.Sprintf("%s[%d].name", path, i), "is required")
		}
		names = append(names, ref.GetName())
	}
	c.unique(path, names)
}

func (c *checker) customTag(path, name string, tag *telemetry.Tracing_CustomTag) {
	if name == "" {
		c.addf(path, "a tag needs a name")
	}
	switch kind := tag.GetType().(type) {
	case *telemetry.Tracing_CustomTag_Literal:
		if kind.Literal.GetValue() == "" {
			c.addf(path+".literal.value", "is required")
		}
	case *telemetry.Tracing_CustomTag_Environment:
		if errs := validation.IsEnvVarName(kind.Environment.GetName()); len(errs) > 0 {
			c.addf(path+".environment.name", "%q is not the name of an environment variable", kind.Environment.GetName())
		}
	case *telemetry.Tracing_CustomTag_Header:
		c.tagHeader(path+".header.name", kind.Header.GetName())
	case *telemetry.Tracing_CustomTag_Formatter: // refused as not supported
	default:
		c.add(path, "has no value", "set literal, environment or header")
	}
}

// secretHeaders hold what lets its reader act for somebody else.
var secretHeaders = []string{"authorization", "proxy-authorization", "cookie", "set-cookie"}

func (c *checker) tagHeader(path, name string) {
	switch {
	case slices.Contains(secretHeaders, strings.ToLower(name)):
		c.add(path, fmt.Sprintf("%s holds a secret, which must not reach a trace", name), "use a header without one")
	case !isHeaderName(name):
		c.addf(path, "%q is not the name of a header", name)
	}
}

// isHeaderName also accepts pseudo headers such as :authority.
func isHeaderName(name string) bool {
	token := strings.TrimPrefix(name, ":")
	return token != "" && !strings.ContainsFunc(token, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`()<>@,;:\"/[]?={}`, r)
	}) && textproto.TrimString(name) == name
}
