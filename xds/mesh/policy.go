package mesh

import (
	"iter"

	security "istio.io/api/security/v1beta1"
	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

// Policies are all PeerAuthentications, and decide what a workload's port admits. The narrowest scope that sets a mode decides:
// port, workload, namespace, mesh; of several objects in one scope the strictest mode holds, so that nobody opens what another has
// closed. Where none sets one, the mesh's settings hold: they outlive the definition of PeerAuthentication and all objects of it.
type Policies struct {
	ByNamespace table.Groups[*PeerAuthentication] // oldest first

	root string
	base MTLSMode
}

func (p *Policies) follow(s *Settings) { p.root, p.base = s.RootNamespace, s.MTLS }

// changed lists the namespaces, of those that there are, in which something else holds than before.
func (p Policies) changed(before Policies, namespaces table.Table[table.Table[*corev1.Service]]) map[string]bool {
	out := map[string]bool{}
	everywhere := p.root != before.root || p.base != before.base
	for c := range table.Diff(before.ByNamespace.Table, p.ByNamespace.Table) {
		out[c.Key] = true
		everywhere = everywhere || c.Key == p.root
	}
	if everywhere {
		for namespace := range namespaces.All() {
			out[namespace] = true
		}
	}
	return out
}

// effect is what the policies say about one workload.
type effect struct {
	mode    MTLSMode
	ports   map[uint32]MTLSMode
	sources []resource.Object
}

func (e effect) on(port uint32) MTLSMode {
	if m, ok := e.ports[port]; ok {
		return m
	}
	return e.mode
}

// of computes the effect on a workload from the widest scope to the narrowest.
func (p Policies) of(namespace string, labels map[string]string) effect {
	e := effect{mode: p.base}
	e.apply(p.WithoutSelector(p.root))
	if namespace != p.root {
		e.apply(p.WithoutSelector(namespace))
	}
	own := p.Selecting(namespace, labels)
	e.apply(own)
	for candidate := range own {
		for port := range candidate.Spec.GetPortLevelMtls() {
			if e.ports == nil {
				e.ports = map[uint32]MTLSMode{}
			}
			e.ports[port] = Strictest(own, func(p *PeerAuthentication) MTLSMode { return p.ModeOn(port) }, e.mode)
		}
	}
	return e
}

func (e *effect) apply(scope iter.Seq[*PeerAuthentication]) {
	e.mode = Strictest(scope, (*PeerAuthentication).Mode, e.mode)
	for p := range scope {
		e.sources = append(e.sources, p.Object)
	}
}

// Strictest returns the strictest mode that one of several policies sets, or inherited if none sets one.
func Strictest(scope iter.Seq[*PeerAuthentication], mode func(*PeerAuthentication) MTLSMode, inherited MTLSMode) MTLSMode {
	var found MTLSMode
	for p := range scope {
		if m := mode(p); strictness[m] > strictness[found] {
			found = m
		}
	}
	return MTLSMode(firstOf(string(found), string(inherited)))
}

var strictness = map[MTLSMode]int{Disable: 1, Permissive: 2, Strict: 3}

// WithoutSelector lists the policies for a whole namespace or, in the root namespace, the mesh; the oldest first.
func (p Policies) WithoutSelector(namespace string) iter.Seq[*PeerAuthentication] {
	return p.where(namespace, func(selector map[string]string) bool { return len(selector) == 0 })
}

// Selecting lists the policies whose selector the labels of a workload fulfil, the oldest first.
func (p Policies) Selecting(namespace string, labels map[string]string) iter.Seq[*PeerAuthentication] {
	return p.where(namespace, func(selector map[string]string) bool { return len(selector) > 0 && Selects(selector, labels) })
}

func (p Policies) where(namespace string, match func(selector map[string]string) bool) iter.Seq[*PeerAuthentication] {
	return func(yield func(*PeerAuthentication) bool) {
		for candidate := range p.ByNamespace.Get(namespace).Values() {
			if match(candidate.Selector()) && !yield(candidate) {
				return
			}
		}
	}
}

// Selector is the labels of the workloads that the policy is for; empty: all of its namespace.
func (p *PeerAuthentication) Selector() map[string]string {
	return p.Spec.GetSelector().GetMatchLabels()
}

// Mode is the mode that the policy sets; empty: it sets none.
func (p *PeerAuthentication) Mode() MTLSMode { return modeOf(p.Spec.GetMtls()) }

// ModeOn is the mode that the policy sets for a port; empty: it sets none.
func (p *PeerAuthentication) ModeOn(port uint32) MTLSMode {
	return MTLSMode(firstOf(string(modeOf(p.Spec.GetPortLevelMtls()[port])), string(p.Mode())))
}

func modeOf(m *security.PeerAuthentication_MutualTLS) MTLSMode {
	switch m.GetMode() {
	case security.PeerAuthentication_MutualTLS_STRICT:
		return Strict
	case security.PeerAuthentication_MutualTLS_PERMISSIVE:
		return Permissive
	case security.PeerAuthentication_MutualTLS_DISABLE:
		return Disable
	}
	return ""
}

// Selects tells whether labels have everything that selector asks for.
func Selects(selector, labels map[string]string) bool {
	for k, v := range selector {
		if got, ok := labels[k]; !ok || got != v {
			return false
		}
	}
	return true
}

// compareStrings compares pairs in turn.
func compareStrings(pairs ...string) int {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i] != pairs[i+1] {
			if pairs[i] < pairs[i+1] {
				return -1
			}
			return 1
		}
	}
	return 0
}

func objectOf(o istioconfig.Object) resource.Object {
	return resource.Object(string(o.Kind) + "/" + o.Namespace + "/" + o.Name)
}
