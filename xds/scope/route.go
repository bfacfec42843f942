package scope

import (
	"slices"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

// VirtualService is a VirtualService as one caller sees it: without the routes that are for other callers or gateways.
type VirtualService struct {
	*mesh.VirtualService
	HTTP  []*networking.HTTPRoute
	Ports map[string]uint32 // of the destinations that have only one
	Key   string
}

// finder finds the rules that apply to one caller.
//
// A VirtualService decides for the callers of its own namespace, for the services of its own namespace, and, in the root
// namespace, for all. One of a third namespace decides nothing: it would let anybody redirect the traffic between two
// others.
type finder struct {
	snapshot *mesh.Snapshot
	caller   caller
	views    map[*mesh.VirtualService]*VirtualService // made so far
}

func newFinder(snapshot *mesh.Snapshot, c caller) *finder {
	return &finder{snapshot: snapshot, caller: c, views: map[*mesh.VirtualService]*VirtualService{}}
}

// routes finds the VirtualService for a host; nil if there is none.
func (f *finder) routes(host, owner string) *VirtualService {
	byHost := f.snapshot.Lookup.RoutesByHost
	if byHost.Empty() {
		return nil
	}
	for _, candidate := range patterns(host) {
		group := byHost.Get(candidate)
		if group.Empty() {
			continue
		}
		for _, namespace := range []string{f.caller.namespace, owner, f.snapshot.Settings.RootNamespace} {
			for v := range group.Values() {
				if v.Namespace == namespace && mesh.Exported(v.Spec.GetExportTo(), v.Namespace, f.caller.namespace) {
					return f.viewOf(v)
				}
			}
		}
	}
	return nil
}

// foreign lists the VirtualServices of the caller's namespace and the root for hosts that are nobody's.
func (f *finder) foreign() []Foreign {
	var list []Foreign
	byNamespace := f.snapshot.Lookup.RoutesByNamespace
	groups := []table.Table[*mesh.VirtualService]{byNamespace.Get(f.caller.namespace)}
	if root := f.snapshot.Settings.RootNamespace; root != f.caller.namespace {
		groups = append(groups, byNamespace.Get(root))
	}
	for _, group := range groups {
		for v := range group.Values() {
			var hosts []string
			for _, h := range v.Hosts {
				if f.snapshot.Service(h) == nil {
					hosts = append(hosts, h)
				}
			}
			if len(hosts) > 0 && mesh.Exported(v.Spec.GetExportTo(), v.Namespace, f.caller.namespace) {
				list = append(list, Foreign{f.viewOf(v), hosts})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b Foreign) int { return a.Created.Compare(b.Created) })
	return list
}

func (f *finder) viewOf(v *mesh.VirtualService) *VirtualService {
	view, ok := f.views[v]
	if !ok {
		view = newView(f.snapshot, v, mesh.MeshGateway, f.caller)
		f.views[v] = view
	}
	return view
}

// newView keeps the routes of v that gateway and the caller can take.
func newView(snapshot *mesh.Snapshot, v *mesh.VirtualService, gateway string, c caller) *VirtualService {
	view := &VirtualService{VirtualService: v, Ports: map[string]uint32{}}
	h := mesh.NewHash().Add(v.Key)
	for i, r := range v.Spec.GetHttp() {
		matches, ok := keep(r.GetMatch(), v, gateway, c)
		if !ok {
			continue
		}
		view.HTTP = append(view.HTTP, withMatches(r, matches))
		h.Uint(uint64(i))
		for _, m := range matches {
			h.Message(m)
		}
		for _, host := range mesh.DestinationsOf(r, v.Namespace) {
			if s := newFinder(snapshot, c).service(host); s != nil && len(s.Ports) == 1 {
				view.Ports[host] = s.Ports[0].Number
				h.Add(host).Uint(uint64(s.Ports[0].Number))
			}
		}
	}
	view.Key = h.Key()
	return view
}

// keep drops the alternatives that cannot be this caller's; false if none of several is left.
func keep(matches []*networking.HTTPMatchRequest, v *mesh.VirtualService, gateway string, c caller) ([]*networking.HTTPMatchRequest, bool) {
	var kept []*networking.HTTPMatchRequest
	for _, m := range matches {
		gateways := v.Gateways
		if len(m.GetGateways()) > 0 {
			gateways = mesh.ResolveGateways(m.GetGateways(), v.Namespace)
		}
		if slices.Contains(gateways, gateway) && mesh.Selects(m.GetSourceLabels(), c.labels) {
			kept = append(kept, m)
		}
	}
	return kept, len(matches) == 0 || len(kept) > 0
}

// withMatches is r with other alternatives. The copy is shallow: the parts are never modified.
func withMatches(r *networking.HTTPRoute, matches []*networking.HTTPMatchRequest) *networking.HTTPRoute {
	return &networking.HTTPRoute{
		Name: r.Name, Match: matches, Route: r.Route, Redirect: r.Redirect, DirectResponse: r.DirectResponse,
		Delegate: r.Delegate, Rewrite: r.Rewrite, Timeout: r.Timeout, Retries: r.Retries, Fault: r.Fault,
		Mirror: r.Mirror, Mirrors: r.Mirrors, MirrorPercent: r.MirrorPercent, MirrorPercentage: r.MirrorPercentage, //nolint:staticcheck // the seeds' rules use the old field
		CorsPolicy: r.CorsPolicy, Headers: r.Headers,
	}
}
