package istioconfig

import (
	"fmt"

	networking "istio.io/api/networking/v1alpha3"
)

// Validate returns every reason to refuse the object, in the order of its fields; none means that the translator can use
// it. It looks at nothing but the object, so hosts or Secrets that do not exist are no business of it.
func Validate(o Object) []Problem {
	c := &checker{own: o.Namespace, problems: unsupported(o.Spec)}
	for _, path := range sortedKeys(o.PortNames) {
		c.add(path+".name", "not supported yet: a port by its name", "give its number: port: {number: ...}")
	}
	row, _ := definitionOf(o.Kind)
	row.validate(c, o.Spec)
	return c.problems
}

// Warnings returns what is accepted and probably not meant.
func Warnings(o Object) []Problem {
	c := &checker{own: o.Namespace}
	if row, _ := definitionOf(o.Kind); row.warn != nil {
		row.warn(c, o.Spec)
	}
	return c.problems
}

func (c *checker) routeWarnings(vs *networking.VirtualService) {
	for i, route := range vs.GetHttp() {
		path := fmt.Sprintf("spec.http[%d]", i)
		if len(route.GetRoute()) == 0 && route.GetRedirect() == nil {
			c.add(path, "has neither route nor redirect: the rule is ignored", "add a route with a destination")
		}
		if fault := route.GetFault(); fault.GetAbort() != nil && fault.GetAbort().GetPercentage() == nil {
			c.add(path+".fault.abort", "has no percentage: no request is aborted", "add percentage: {value: 100}")
		}
		if fault := route.GetFault(); fault.GetDelay() != nil && fault.GetDelay().GetPercentage() == nil {
			c.add(path+".fault.delay", "has no percentage: no request is delayed", "add percentage: {value: 100}")
		}
	}
}
