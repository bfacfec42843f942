package mesh

import (
	"iter"
	"time"

	security "istio.io/api/security/v1beta1"
	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

// policy is a PeerAuthentication.
type policy struct {
	object    resource.Object
	namespace string
	created   time.Time
	spec      *security.PeerAuthentication
}

// policies finds what a workload's port admits. The narrowest scope that sets a mode decides: port, workload, namespace,
// mesh; of several objects in one scope the strictest mode holds, so that nobody opens what another has closed. Where none sets
// one, the mesh's settings hold: they outlive the definition of PeerAuthentication and all objects of it.
type policies struct {
	root string
	base MTLSMode
	all  table.Groups[*policy] // by namespace, oldest first
}

func (p *policies) follow(s *Settings) { p.root, p.base = s.RootNamespace, s.MTLS }

// changed lists the namespaces, of those that there are, in which something else holds than before.
func (p policies) changed(before policies, namespaces table.Table[table.Table[*corev1.Service]]) map[string]bool {
	out := map[string]bool{}
	everywhere := p.root != before.root || p.base != before.base
	for c := range table.Diff(before.all.Table, p.all.Table) {
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
func (p policies) of(namespace string, labels map[string]string) effect {
	e := effect{mode: p.base}
	e.apply(p.withoutSelector(p.root))
	if namespace != p.root {
		e.apply(p.withoutSelector(namespace))
	}
	own := p.selecting(namespace, labels)
	e.apply(own)
	for candidate := range own {
		for port := range candidate.spec.GetPortLevelMtls() {
			if e.ports == nil {
				e.ports = map[uint32]MTLSMode{}
			}
			e.ports[port] = strictest(own, func(p *policy) MTLSMode { return p.on(port) }, e.mode)
		}
	}
	return e
}

func (e *effect) apply(scope iter.Seq[*policy]) {
	e.mode = strictest(scope, (*policy).mode, e.mode)
	for p := range scope {
		e.sources = append(e.sources, p.object)
	}
}

// strictest returns the strictest mode that one of several policies sets, or inherited if none sets one.
func strictest(scope iter.Seq[*policy], mode func(*policy) MTLSMode, inherited MTLSMode) MTLSMode {
	var found MTLSMode
	for p := range scope {
		if m := mode(p); strictness[m] > strictness[found] {
			found = m
		}
	}
	return MTLSMode(firstOf(string(found), string(inherited)))
}

var strictness = map[MTLSMode]int{Disable: 1, Permissive: 2, Strict: 3}

// withoutSelector lists the policies for a whole namespace or, in the root namespace, the mesh; the oldest first.
func (p policies) withoutSelector(namespace string) iter.Seq[*policy] {
	return p.where(namespace, func(selector map[string]string) bool { return len(selector) == 0 })
}

// selecting lists the policies whose selector the labels of a workload fulfil, the oldest first.
func (p policies) selecting(namespace string, labels map[string]string) iter.Seq[*policy] {
	return p.where(namespace, func(selector map[string]string) bool { return len(selector) > 0 && Selects(selector, labels) })
}

func (p policies) where(namespace string, match func(selector map[string]string) bool) iter.Seq[*policy] {
	return func(yield func(*policy) bool) {
		for candidate := range p.all.Get(namespace).Values() {
			if match(candidate.selector()) && !yield(candidate) {
				return
			}
		}
	}
}

func (p *policy) selector() map[string]string { return p.spec.GetSelector().GetMatchLabels() }

// mode is the mode that the policy sets; empty: it sets none.
func (p *policy) mode() MTLSMode { return modeOf(p.spec.GetMtls()) }

// on is the mode that the policy sets for a port; empty: it sets none.
func (p *policy) on(port uint32) MTLSMode {
	return MTLSMode(firstOf(string(modeOf(p.spec.GetPortLevelMtls()[port])), string(p.mode())))
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
