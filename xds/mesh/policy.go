package mesh

import (
	"slices"
	"time"

	security "istio.io/api/security/v1beta1"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// policy is a PeerAuthentication.
type policy struct {
	object    resource.Object
	namespace string
	created   time.Time
	spec      *security.PeerAuthentication
}

// policies finds what a workload's port admits. The narrowest scope that says something wins: port, workload, namespace,
// mesh; in one scope the oldest object does.
type policies struct {
	root string
	all  map[string][]policy // by namespace, oldest first
	key  string
}

func buildPolicies(root string, config []istioconfig.Object) policies {
	p := policies{root: root, all: map[string][]policy{}}
	h := NewHash().Add(root)
	for _, o := range config {
		spec, ok := o.Spec.(*security.PeerAuthentication)
		if !ok {
			continue
		}
		p.all[o.Namespace] = append(p.all[o.Namespace], policy{objectOf(o), o.Namespace, o.Created, spec})
		h.Add(o.Namespace, o.Name).Message(spec)
	}
	p.key = h.Key()
	return p
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
	e := effect{mode: Permissive}
	e.apply(p.oldest(p.root, nil))
	if namespace != p.root {
		e.apply(p.oldest(namespace, nil))
	}
	if own := p.oldest(namespace, labels); own != nil {
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

// oldest is the policy without a selector, or, given labels, the one whose selector they fulfil.
func (p policies) oldest(namespace string, labels map[string]string) *policy {
	for i, candidate := range p.all[namespace] {
		selector := candidate.spec.GetSelector().GetMatchLabels()
		if labels == nil && len(selector) == 0 || labels != nil && len(selector) > 0 && Selects(selector, labels) {
			return &p.all[namespace][i]
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

// sortByAge puts the oldest first; of equally old objects the name decides, so that every replica decides alike.
func sortByAge(config []istioconfig.Object) []istioconfig.Object {
	sorted := slices.Clone(config)
	slices.SortFunc(sorted, func(a, b istioconfig.Object) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return compareStrings(string(a.Kind), string(b.Kind), a.Namespace, b.Namespace, a.Name, b.Name)
	})
	return sorted
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
