package scope

import (
	"slices"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// VirtualService is a VirtualService as one caller sees it: without the routes that are for other callers or gateways.
type VirtualService struct {
	*mesh.VirtualService
	HTTP []*networking.HTTPRoute
	Key  string
}

// routeFinder finds the VirtualService for a host. An object decides for the callers of its own namespace, for the
// services of its own namespace, and, in the root namespace, for all. One of a third namespace decides nothing: it would
// let anybody redirect the traffic between two others.
type routeFinder struct {
	snapshot *mesh.Snapshot
	caller   caller
	byHost   map[string][]*mesh.VirtualService // oldest first
	seen     map[*mesh.VirtualService]*VirtualService
}

func newRouteFinder(snapshot *mesh.Snapshot, c caller) *routeFinder {
	f := &routeFinder{snapshot: snapshot, caller: c, seen: map[*mesh.VirtualService]*VirtualService{}}
	f.byHost = snapshot.Once("mesh routes", func() any {
		byHost := map[string][]*mesh.VirtualService{}
		for _, v := range snapshot.VirtualServices {
			if !slices.Contains(v.Gateways, mesh.MeshGateway) {
				continue
			}
			for _, host := range v.Hosts {
				byHost[host] = append(byHost[host], v)
			}
		}
		return byHost
	}).(map[string][]*mesh.VirtualService)
	return f
}

func (f *routeFinder) find(host, owner string) *VirtualService {
	if len(f.byHost) == 0 {
		return nil
	}
	for _, candidate := range patterns(host) {
		for _, namespace := range []string{f.caller.namespace, owner, f.snapshot.Settings.RootNamespace} {
			for _, v := range f.byHost[candidate] {
				if v.Namespace == namespace && mesh.Exported(v.Spec.GetExportTo(), v.Namespace, f.caller.namespace) {
					return f.view(v)
				}
			}
		}
	}
	return nil
}

// foreign lists the VirtualServices of the caller's namespace and the root for hosts that are nobody's.
func (f *routeFinder) foreign() []*VirtualService {
	var list []*VirtualService
	for _, v := range f.snapshot.VirtualServices {
		own := v.Namespace == f.caller.namespace || v.Namespace == f.snapshot.Settings.RootNamespace
		if !own || !slices.Contains(v.Gateways, mesh.MeshGateway) || !mesh.Exported(v.Spec.GetExportTo(), v.Namespace, f.caller.namespace) {
			continue
		}
		if slices.ContainsFunc(v.Hosts, func(h string) bool { return f.snapshot.Service(h) == nil }) {
			list = append(list, f.view(v))
		}
	}
	return list
}

func (f *routeFinder) view(v *mesh.VirtualService) *VirtualService {
	if view, ok := f.seen[v]; ok {
		return view
	}
	view := newView(v, mesh.MeshGateway, f.caller)
	f.seen[v] = view
	return view
}

// newView keeps the routes of v that gateway and the caller can take.
func newView(v *mesh.VirtualService, gateway string, c caller) *VirtualService {
	view := &VirtualService{VirtualService: v}
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
