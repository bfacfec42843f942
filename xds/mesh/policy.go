package mesh

import (
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

// policies finds what a workload's port admits. The narrowest scope that says something wins: port, workload, namespace,
// mesh; in one scope the oldestPolicy object does. Where none does, the mesh's settings hold: they outlive the definition of
// PeerAuthentication and all objects of it.
type policies struct {
	root string
	base MTLSMode
	all  table.Groups[*policy] // by namespace, oldestPolicy first
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
	e.apply(p.oldestPolicy(p.root, nil))
	if namespace != p.root {
		e.apply(p.oldestPolicy(namespace, nil))
	}
	if own := p.oldestPolicy(namespace, labels); own != nil {
		e.apply(own)
		e.ports = map[uint32]MTLSMode{}
		for port, m := range own.spec.GetPortLevelMtls() {
			e.ports[port] = modeOr(m, e.mode)
		}
	}
	return e
}

func (e *effect) apply(p *policy) {
	if p == nil {
		return
	}
	e.mode = modeOr(p.spec.GetMtls(), e.mode)
	e.sources = append(e.sources, p.object)
}

// oldestPolicy is the policy without a selector, or, given labels, the one whose selector they fulfil.
func (p policies) oldestPolicy(namespace string, labels map[string]string) *policy {
	for candidate := range p.all.Get(namespace).Values() {
		selector := candidate.spec.GetSelector().GetMatchLabels()
		if labels == nil && len(selector) == 0 || labels != nil && len(selector) > 0 && Selects(selector, labels) {
			return candidate
		}
	}
	return nil
}

func modeOr(m *security.PeerAuthentication_MutualTLS, inherited MTLSMode) MTLSMode {
	switch m.GetMode() {
	case security.PeerAuthentication_MutualTLS_STRICT:
		return Strict
	case security.PeerAuthentication_MutualTLS_PERMISSIVE:
		return Permissive
	case security.PeerAuthentication_MutualTLS_DISABLE:
		return Disable
	}
	return inherited
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
