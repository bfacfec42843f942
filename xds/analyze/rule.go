package analyze

import (
	"fmt"
	"strings"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

// rules checks the DestinationRules of one namespace for one host.
func (c *checker) rules(group table.Table[*mesh.DestinationRule]) {
	var policy *mesh.DestinationRule              // the oldest that has one
	defined := map[string]*mesh.DestinationRule{} // the oldest with the subset
	for d := range group.Values() {
		if !strings.HasPrefix(d.Host, "*") && c.called(d.Host, d.Namespace) == nil {
			c.report(mesh.Problem{Object: d.Object, Field: "spec.host", Reason: c.noService(d.Host)})
		}
		c.callers(d.Object, func() string { return "spec.host" }, d.Namespace, d.Host)
		if d.Spec.GetTrafficPolicy() != nil {
			if policy == nil {
				policy = d
			} else if exportedToAll(policy.Spec.GetExportTo()) {
				c.report(mesh.Problem{Object: d.Object, Field: "spec.trafficPolicy", Reason: fmt.Sprintf("%s is older and decides for %s", policy.Object, d.Host)})
			}
		}
		for i, s := range d.Spec.GetSubsets() {
			older := defined[s.GetName()]
			if most := istioconfig.MaxSubsets(d.Host); older == nil && len(defined) == most {
				const reason = "older rules define %d subsets of %s, and more have no effect: name only those that routes lead to"
				c.report(mesh.Problem{Object: d.Object, Field: fmt.Sprintf("spec.subsets[%d]", i), Reason: fmt.Sprintf(reason, most, d.Host)})
				break
			}
			if older == nil {
				defined[s.GetName()] = d
			} else if exportedToAll(older.Spec.GetExportTo()) {
				reason := fmt.Sprintf("%s is older and defines %q of %s", older.Object, s.GetName(), d.Host)
				c.report(mesh.Problem{Object: d.Object, Field: fmt.Sprintf("spec.subsets[%d]", i), Reason: reason})
			}
		}
	}
}
