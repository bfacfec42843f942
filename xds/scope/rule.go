package scope

import (
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// Rule is what the DestinationRules of one namespace say about a host, together.
type Rule struct {
	Policy  *networking.TrafficPolicy // may be nil
	Subsets []*networking.Subset
	Sources []resource.Object
	Key     string
}

// ruleFinder finds the DestinationRule for a host: of the caller's namespace, else of the service's, else of the mesh's;
// in each the most specific host.
type ruleFinder struct {
	root string
	all  map[string]map[string][]*mesh.DestinationRule // namespace, host
}

func rulesOf(snapshot *mesh.Snapshot) *ruleFinder {
	return snapshot.Once("rules", func() any {
		f := &ruleFinder{root: snapshot.Settings.RootNamespace, all: map[string]map[string][]*mesh.DestinationRule{}}
		for _, r := range snapshot.Rules {
			if f.all[r.Namespace] == nil {
				f.all[r.Namespace] = map[string][]*mesh.DestinationRule{}
			}
			f.all[r.Namespace][r.Host] = append(f.all[r.Namespace][r.Host], r)
		}
		return f
	}).(*ruleFinder)
}

func (f *ruleFinder) find(host, owner, client string) *Rule {
	for _, namespace := range []string{client, owner, f.root} {
		if rule := f.in(namespace, host, client); rule != nil {
			return rule
		}
	}
	return nil
}

func (f *ruleFinder) in(namespace, host, client string) *Rule {
	byHost := f.all[namespace]
	if len(byHost) == 0 {
		return nil
	}
	for _, candidate := range patterns(host) {
		if rule := merge(byHost[candidate], client); rule != nil {
			return rule
		}
	}
	return nil
}

// patterns lists the hosts that mean host, the most specific first: a.b.c, *.b.c, *.c, *.
func patterns(host string) []string {
	list := []string{host}
	for rest := strings.TrimPrefix(host, "*."); ; {
		_, after, ok := strings.Cut(rest, ".")
		if !ok {
			return append(list, "*")
		}
		rest = after
		list = append(list, "*."+rest)
	}
}

// merge joins rules of one namespace for one host: the oldest policy, all subsets, of two with one name the older.
func merge(rules []*mesh.DestinationRule, client string) *Rule {
	var merged *Rule
	names := map[string]bool{}
	h := mesh.NewHash()
	for _, r := range rules {
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
			if !names[subset.GetName()] {
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
