package mesh

import (
	"slices"

	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// index is how a snapshot finds its parts.
type index struct {
	pods      map[Name]*corev1.Pod
	addresses map[Name]*corev1.Pod         // the pods by namespace and address; nil until one is looked for
	selecting map[string][]*corev1.Service // by namespace, oldest first
	services  map[string]*Service          // by host
	inputs    map[Name]serviceInputs
	policies  policies
	config    map[resource.Object]any // the models of configuration objects
	checked   map[resource.Object]verdict
}

// verdict is what validation said of a specification, which is immutable and not looked at twice.
type verdict struct {
	spec     proto.Message
	problems []istioconfig.Problem
}

// Build makes the model of in. It reuses the parts of prev, which may be nil, that did not change.
func Build(prev *Snapshot, in Inputs) *Snapshot {
	s := &Snapshot{Settings: buildSettings(in), Credentials: map[Name]*Credential{}, memo: &memo{}}
	config := sortByAge(in.Config)
	s.index = index{
		pods: buildPods(in), selecting: map[string][]*corev1.Service{}, services: map[string]*Service{},
		inputs: map[Name]serviceInputs{}, config: map[resource.Object]any{}, checked: map[resource.Object]verdict{},
		policies: buildPolicies(s.Settings.RootNamespace, config),
	}
	s.buildServices(prev, in)
	for _, o := range config {
		s.buildConfig(prev, o)
	}
	s.buildCredentials(prev, in)
	s.reportReferences()
	slices.SortFunc(s.Problems, CompareProblems)
	s.Problems = slices.Compact(s.Problems)
	return s
}

// buildConfig adds the model of one object. An object that is invalid has no effect, but while its last valid version is
// known, that one stays. A PeerAuthentication has the effect it can have: ignoring one would admit plaintext.
func (s *Snapshot) buildConfig(prev *Snapshot, o istioconfig.Object) {
	object := objectOf(o)
	problems := s.check(prev, object, o)
	for _, p := range problems {
		s.Problems = append(s.Problems, Problem{object, p.Field, p.Reason})
	}
	if len(problems) > 0 {
		s.keep(object, prev.configOf(object))
		return
	}
	switch spec := o.Spec.(type) {
	case *networking.VirtualService:
		s.keep(object, newVirtualService(prev, o, spec))
	case *networking.DestinationRule:
		s.keep(object, newDestinationRule(prev, o, spec))
	case *networking.Gateway:
		s.keep(object, newGateway(prev, o, spec))
	}
}

func (s *Snapshot) check(prev *Snapshot, object resource.Object, o istioconfig.Object) []istioconfig.Problem {
	var v verdict
	if prev != nil {
		v = prev.index.checked[object]
	}
	if v.spec == nil || v.spec != o.Spec {
		v = verdict{o.Spec, istioconfig.Validate(o)}
	}
	s.index.checked[object] = v
	return v.problems
}

func (s *Snapshot) configOf(object resource.Object) any {
	if s == nil {
		return nil
	}
	return s.index.config[object]
}

func (s *Snapshot) keep(object resource.Object, model any) {
	switch m := model.(type) {
	case *VirtualService:
		s.VirtualServices = append(s.VirtualServices, m)
	case *DestinationRule:
		s.Rules = append(s.Rules, m)
	case *Gateway:
		s.Gateways = append(s.Gateways, m)
	default:
		return
	}
	s.index.config[object] = model
}

// Service returns the service of a host, or nil.
func (s *Snapshot) Service(host string) *Service { return s.index.services[host] }

// CompareProblems orders problems by object, field and reason.
func CompareProblems(a, b Problem) int {
	return compareStrings(string(a.Object), string(b.Object), a.Field, b.Field, a.Reason, b.Reason)
}
