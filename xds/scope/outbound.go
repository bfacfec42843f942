package scope

import (
	"iter"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

// Outbound is what the sidecars of one namespace may call, and how.
type Outbound struct {
	Namespace string
	ShareKey  string                // the same in all snapshots, unlike the key: where to look for what there was before
	Services  table.Table[*Service] // by host
	Foreign   table.Table[*Foreign] // oldest first
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

// Sum is the hash of the view with its endpoints.
func (s *Service) Sum() string { return s.Key + s.Service.Sum() }

// Foreign is a VirtualService with those of its hosts that no service has, and the ports on which its rules hold for these.
type Foreign struct {
	*VirtualService
	Hosts []string
	On    *mesh.Ports
	sum   string
}

// Sum is the hash of the view with its hosts and their ports.
func (f *Foreign) Sum() string { return f.sum }

// outboundFor shares one view between the proxies that no rule tells apart.
func (v *Views) outboundFor(c caller) *Outbound {
	shareKey := c.namespace + "\x00" + v.partition(c)
	return v.outbound.Get(shareKey, func(before *outboundView) outboundView {
		var last outboundView
		if before != nil {
			last = *before
		}
		changed := v.changesOf()
		now := outboundView{newOutbound(last, changed, v.Snapshot, c), changed.at}
		now.ShareKey = shareKey
		if last.Outbound != nil && last.Key == now.Key {
			now.Outbound = last.Outbound
		}
		return now
	}).Outbound
}

// outboundView says which snapshot a view was made, or found to be as it was, at.
type outboundView struct {
	*Outbound
	at *generation
}

func newOutbound(last outboundView, changed *changes, snapshot *mesh.Snapshot, c caller) *Outbound {
	out := &Outbound{Namespace: c.namespace}
	f := newFinder(snapshot, c)
	if last.Outbound == nil || changed.all || last.at != changed.from {
		views := map[string]*Service{}
		for host := range hostsOf(snapshot) {
			if s := f.service(host); s != nil {
				views[host] = f.view(s)
			}
		}
		out.Services, out.Foreign = table.Of(views), f.allForeign()
	} else {
		out.Services, out.Foreign = last.Services, last.Foreign
		for host := range changed.hosts {
			out.Services = f.update(out.Services, host)
		}
		for _, routes := range []map[string]bool{changed.routes, changed.ports} {
			for age := range routes {
				out.Foreign = f.updateForeign(out.Foreign, age)
			}
		}
	}
	out.Key = mesh.NewHash().Add(c.namespace, table.Sum(out.Services), table.Sum(out.Foreign)).Key()
	return out
}

// service is the service of a host if there is one that the caller may call.
func (f *finder) service(host string) *mesh.Service {
	return f.snapshot.ServiceFor(host, f.caller.namespace)
}

// hostsOf iterates over the hosts of Services and of ServiceEntries. A host may come twice.
func hostsOf(snapshot *mesh.Snapshot) iter.Seq[string] {
	return func(yield func(string) bool) {
		for host := range snapshot.Services.All() {
			if !yield(host) {
				return
			}
		}
		for host := range snapshot.Entries.All() {
			if !yield(host) {
				return
			}
		}
	}
}

// view is a service as the caller sees it.
func (f *finder) view(s *mesh.Service) *Service {
	view := &Service{Service: s, Rule: f.rule(s), Routes: f.routes(s)}
	view.Key = viewKey(view)
	return view
}

func (f *finder) update(views table.Table[*Service], host string) table.Table[*Service] {
	s := f.service(host)
	if s == nil {
		return views.Without(host)
	}
	view := f.view(s)
	if before := views.Get(host); before != nil && before.Sum() == view.Sum() {
		return views
	}
	return views.With(host, view)
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

// caller is what rules can know of a client: its namespace and labels.
type caller struct {
	namespace string
	labels    map[string]string
	labelsKey string
}

// partition is the hash of the label selectors of the mesh's rules that a caller's labels fulfil.
type partition struct {
	selectors table.Table[table.Table[*mesh.VirtualService]]
	fulfilled string
}

// partition says which of the label selectors that occur in the mesh's rules the caller's labels fulfil; callers of one
// partition are treated alike.
func (v *Views) partition(c caller) string {
	return v.partitions.Get(c.labelsKey, func(before *partition) partition {
		p := partition{selectors: v.Snapshot.Lookup.RoutesBySource.Table}
		if before != nil && before.selectors == p.selectors {
			return *before
		}
		h := mesh.NewHash()
		for key := range p.selectors.All() {
			if mesh.Selects(v.Snapshot.Lookup.SourceSelector(key), c.labels) {
				h.Add(key)
			}
		}
		p.fulfilled = h.Key()
		return p
	}).fulfilled
}
