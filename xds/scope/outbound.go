package scope

import (
	"maps"
	"slices"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// Outbound is what the sidecars of one namespace may call, and how.
type Outbound struct {
	Namespace string
	Services  []*Service        // by host
	Foreign   []*VirtualService // for hosts that no service has; oldest first
	Key       string
}

// Service is a service with the rules that apply to this caller.
type Service struct {
	*mesh.Service
	Rule   *Rule           // nil: none
	Routes *VirtualService // nil: none
	Key    string          // of the service without its endpoints, and of the rules

	Credentials []ClientCredential // that the rule refers to; of a router's view only
}

// outboundFor shares one view between the proxies that no rule tells apart.
func outboundFor(snapshot *mesh.Snapshot, proxy mesh.Proxy) *Outbound {
	caller := callerOf(snapshot, proxy)
	view := snapshot.Once("outbound\x00"+caller.namespace+"\x00"+caller.partition, func() any {
		return newOutbound(snapshot, caller)
	})
	return view.(*Outbound)
}

func newOutbound(snapshot *mesh.Snapshot, c caller) *Outbound {
	out := &Outbound{Namespace: c.namespace}
	rules, routes := rulesOf(snapshot), newRouteFinder(snapshot, c)
	h := mesh.NewHash().Add(c.namespace)
	for _, s := range snapshot.Services {
		if !mesh.Exported(s.ExportTo, s.Namespace, c.namespace) {
			continue
		}
		view := &Service{Service: s, Rule: rules.find(s.Host, s.Namespace, c.namespace), Routes: routes.find(s.Host, s.Namespace)}
		view.Key = viewKey(view)
		out.Services = append(out.Services, view)
		h.Add(view.Key)
		for _, p := range s.Ports {
			h.Add(p.Key)
		}
	}
	out.Foreign = routes.foreign()
	for _, v := range out.Foreign {
		h.Add(v.Key)
	}
	out.Key = h.Key()
	return out
}

func viewKey(s *Service) string {
	h := mesh.NewHash().Add(s.Service.Key)
	if s.Rule != nil {
		h.Add("rule", s.Rule.Key)
	}
	if s.Routes != nil {
		h.Add("routes", s.Routes.Key)
	}
	return h.Key()
}

// caller is what rules can know of a client: its namespace and labels. The partition says which of the label selectors
// that occur in the mesh's rules its labels fulfil; callers of one partition are treated alike.
type caller struct {
	namespace string
	labels    map[string]string
	partition string
}

func callerOf(snapshot *mesh.Snapshot, proxy mesh.Proxy) caller {
	selectors := snapshot.Once("selectors", func() any { return sourceSelectors(snapshot) }).([]map[string]string)
	partition := make([]byte, len(selectors))
	for i, selector := range selectors {
		partition[i] = '-'
		if mesh.Selects(selector, proxy.Labels) {
			partition[i] = '+'
		}
	}
	return caller{proxy.Namespace, proxy.Labels, string(partition)}
}

// sourceSelectors lists every label selector that a rule tests a client with, each once.
func sourceSelectors(snapshot *mesh.Snapshot) []map[string]string {
	found := map[string]map[string]string{}
	add := func(selector map[string]string) {
		if len(selector) > 0 {
			found[mesh.NewHash().Map(selector).Key()] = selector
		}
	}
	for _, v := range snapshot.VirtualServices {
		for _, r := range v.Spec.GetHttp() {
			for _, m := range r.GetMatch() {
				add(m.GetSourceLabels())
			}
		}
	}
	var selectors []map[string]string
	for _, key := range slices.Sorted(maps.Keys(found)) {
		selectors = append(selectors, found[key])
	}
	return selectors
}
