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
	HTTP   []*networking.HTTPRoute
	Ports  map[string]uint32 // of the destinations that have only one
	Affine map[string]bool   // the destinations with session affinity
	Key    string
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

// routes finds the VirtualService for a service; nil if there is none, or one whose rules are too much for it.
func (f *finder) routes(s *mesh.Service) *VirtualService {
	for _, candidate := range f.snapshot.Lookup.Patterns(s.Host) {
		byNamespace := f.snapshot.Lookup.RoutesByHost.Get(candidate)
		if byNamespace.Empty() {
			continue
		}
		for _, namespace := range []string{f.caller.namespace, s.Namespace, f.snapshot.Settings.RootNamespace} {
			for v := range byNamespace.Get(namespace).Values() {
				if !mesh.Exported(v.Spec.GetExportTo(), v.Namespace, f.caller.namespace) {
					continue
				}
				if v.TooLargeFor(s) {
					return nil
				}
				return f.viewOf(v)
			}
		}
	}
	return nil
}

// allForeign finds the VirtualServices of the caller's namespace and the root for hosts that are nobody's.
func (f *finder) allForeign() table.Table[*Foreign] {
	var all table.Table[*Foreign]
	for _, namespace := range []string{f.caller.namespace, f.snapshot.Settings.RootNamespace} {
		for age := range f.snapshot.Lookup.RoutesByNamespace.Get(namespace).All() {
			all = f.updateForeign(all, age)
		}
	}
	return all
}

// updateForeign looks at one VirtualService, by its age.
func (f *finder) updateForeign(all table.Table[*Foreign], age string) table.Table[*Foreign] {
	view := f.foreign(f.snapshot.VirtualServices.Get(age))
	if view == nil {
		return all.Without(age)
	}
	if before := all.Get(age); before != nil && before.sum == view.sum {
		return all
	}
	return all.With(age, view)
}

// foreign is the view of v, or nil if it is not for hosts that are nobody's or not for the caller.
func (f *finder) foreign(v *mesh.VirtualService) *Foreign {
	if v == nil || v.Namespace != f.caller.namespace && v.Namespace != f.snapshot.Settings.RootNamespace ||
		!slices.Contains(v.Gateways, mesh.MeshGateway) || !mesh.Exported(v.Spec.GetExportTo(), v.Namespace, f.caller.namespace) {
		return nil
	}
	var hosts []string
	for _, h := range v.Hosts {
		if f.snapshot.Service(h) == nil && f.service(h) == nil {
			hosts = append(hosts, h)
		}
	}
	if len(hosts) == 0 || f.snapshot.TooLargeUnregistered(v) {
		return nil
	}
	view := f.viewOf(v)
	on := f.snapshot.UnregisteredPorts(v, view.Ports)
	return &Foreign{view, hosts, on, mesh.NewHash().Add(view.Key, on.Key()).List(hosts).Key()}
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
	view := &VirtualService{VirtualService: v, Ports: map[string]uint32{}, Affine: map[string]bool{}}
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
			s := newFinder(snapshot, c).service(host)
			if s != nil && len(s.Ports) == 1 {
				view.Ports[host] = s.Ports[0].Number
				h.Add(host).Uint(uint64(s.Ports[0].Number))
			}
			if s != nil && s.Affinity {
				view.Affine[host] = true
				h.Add("affinity", host)
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
