package scope

import (
	networking "istio.io/api/networking/v1alpha3"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

// Rule is what the DestinationRules of one namespace say about a host, together.
type Rule struct {
	Policy  *networking.TrafficPolicy // may be nil
	Subsets []*networking.Subset
	Sources []resource.Object
	Key     string
}

// rule finds the DestinationRule for a service: of the caller's namespace, else of the service's, else of the mesh's; in each
// the most specific host. A caller in the mesh's own namespace, as the gateways are, has no say of its own: what is written
// there for the whole mesh would hide the services' own rules from them, and with these every subset.
func (f *finder) rule(s *mesh.Service) *Rule {
	candidates, root := f.snapshot.Lookup.Patterns(s.Host), f.snapshot.Settings.RootNamespace
	namespaces := []string{f.caller.namespace, s.Namespace, root}
	if f.caller.namespace == root {
		namespaces = namespaces[1:]
	}
	for _, namespace := range namespaces {
		for _, candidate := range candidates {
			rule := merge(f.snapshot.Lookup.Rules.Get(candidate).Get(namespace), f.caller.namespace)
			if rule != nil && !s.AllowsSubsets() {
				rule.Subsets = nil
			}
			if rule != nil {
				return rule
			}
		}
	}
	return nil
}

// merge joins rules of one namespace for one host: the oldest policy, all subsets up to the bound, of two with one name the
// older.
func merge(rules table.Table[*mesh.DestinationRule], client string) *Rule {
	if rules.Empty() {
		return nil
	}
	var merged *Rule
	names := map[string]bool{}
	h := mesh.NewHash()
	for r := range rules.Values() {
		if !mesh.Exported(r.Spec.GetExportTo(), r.Namespace, client) {
			continue
		}
		if merged == nil {
			merged = &Rule{}
		}
		if merged.Policy == nil {
			merged.Policy = r.Spec.GetTrafficPolicy()
		}
		for _, subset := range r.Spec.GetSubsets() {
			if !names[subset.GetName()] && len(merged.Subsets) < istioconfig.MaxSubsets(r.Host) {
				names[subset.GetName()] = true
				merged.Subsets = append(merged.Subsets, subset)
			}
		}
		merged.Sources = append(merged.Sources, r.Object)
		h.Add(r.Key)
	}
	if merged != nil {
		merged.Key = h.Key()
	}
	return merged
}

// Sources lists the objects that a service and its rule were made from.
func (s *Service) Sources() []resource.Object {
	sources := []resource.Object{s.Object}
	return append(sources, s.Rule.Objects()...)
}

// Objects lists the DestinationRules of a rule; none of a nil one.
func (r *Rule) Objects() []resource.Object {
	if r == nil {
		return nil
	}
	return r.Sources
}
