package mesh

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

// index is how Build finds what an object of its inputs has an effect on.
type index struct {
	selecting    table.Groups[*corev1.Service]            // by namespace, oldest first
	slices       table.Groups[*discoveryv1.EndpointSlice] // by service
	podServices  table.Groups[bool]                       // by endpointPod: the services with it behind them
	addresses    table.Groups[*corev1.Pod]                // by addressKey
	aliases      table.Groups[*corev1.Service]            // of type ExternalName, by the host that they stand for
	policies     Policies
	telemetry    table.Groups[*TelemetryRule] // by namespace, oldest first
	config       table.Table[*configEntry]
	invalid      table.Table[*configEntry] // by the object: those that have problems
	secrets      table.Groups[bool]        // the Secrets of a name, as namespace/name
	secretUsers  table.Groups[bool]        // by the name of a Secret: the rules that refer to it
	gatewayHosts table.Table[int]          // of VirtualServices, by age: their hosts at all servers of their Gateways
	httpPorts    table.Groups[bool]        // by namespace: the numbers with the hosts that speak HTTP there
}

// Build makes the model of in. It starts from prev, which may be nil, and computes what has changed since.
func Build(prev *Snapshot, in Inputs) *Snapshot {
	if prev == nil {
		prev = &Snapshot{Settings: buildSettings(in)}
		prev.index.policies.follow(prev.Settings)
	}
	s := *prev
	s.in = in
	if settings := buildSettings(in); settings.Key != prev.Settings.Key {
		s.Settings = settings
		s.index.policies.follow(settings)
	}
	for c := range table.Diff(prev.in.Config, in.Config) {
		s.updateConfig(c)
	}
	for name := range s.dirtyServices(prev) {
		s.updatePodServices(prev, name)
		s.guarded("Service/"+name, func() { s.updateKubernetesService(name) })
	}
	s.updateHTTPPorts(prev)
	s.updateGatewayHosts(prev)
	s.updateCredentials(prev)
	s.updateProblems(prev)
	return &s
}

// updateProblems collects the problems of the inputs, if they have changed.
func (s *Snapshot) updateProblems(prev *Snapshot) {
	if s.index.invalid == prev.index.invalid {
		return
	}
	var all []Problem
	for entry := range s.index.invalid.Values() {
		all = append(all, entry.problems...)
	}
	slices.SortFunc(all, CompareProblems)
	s.Problems = slices.Compact(all)
}

// ageOf orders objects: the oldest first; of equally old ones the name decides, so that every replica decides alike.
func ageOf(created time.Time, o resource.Object) string {
	const beforeYearOne = 1 << 40
	return fmt.Sprintf("%020d.%09d %s", created.Unix()+beforeYearOne, created.Nanosecond(), o)
}

// dirtyServices finds the services that something they are made from has changed of, by namespace/name, and brings the
// index up to date.
func (s *Snapshot) dirtyServices(prev *Snapshot) map[string]bool {
	dirty := map[string]bool{}
	for c := range table.Diff(prev.in.Services, s.in.Services) {
		dirty[c.Key] = true
		if c.Had {
			s.indexService(c.Old, false, dirty)
		}
		if c.Has {
			s.indexService(c.New, true, dirty)
		}
	}
	for c := range table.Diff(prev.in.EndpointSlices, s.in.EndpointSlices) {
		if c.Had {
			dirty[serviceOf(c.Old)] = true
			s.index.slices = s.index.slices.Without(serviceOf(c.Old), c.Old.Name)
		}
		if c.Has {
			dirty[serviceOf(c.New)] = true
			s.index.slices = s.index.slices.With(serviceOf(c.New), c.New.Name, c.New)
		}
	}
	for c := range table.Diff(prev.in.Pods, s.in.Pods) {
		for _, p := range []*corev1.Pod{c.Old, c.New} {
			s.indexPod(p, p == c.New, dirty)
		}
	}
	for namespace := range s.index.policies.changed(prev.index.policies, s.index.selecting.Table) {
		for k := range s.index.selecting.Get(namespace).Values() {
			dirty[NameOf(k).String()] = true
		}
	}
	return dirty
}

// indexService takes a service in or out. One of type ExternalName selects no pods, whatever its selector, but may give
// another one a name.
func (s *Snapshot) indexService(k *corev1.Service, in bool, dirty map[string]bool) {
	if k.Spec.Type != corev1.ServiceTypeExternalName {
		s.index.selecting = setIn(s.index.selecting, k.Namespace, serviceAge(k), k, in)
		return
	}
	target := strings.ToLower(strings.TrimSuffix(k.Spec.ExternalName, "."))
	s.index.aliases = setIn(s.index.aliases, target, NameOf(k).String(), k, in)
	if name, ok := strings.CutSuffix(target, ".svc."+Domain); ok {
		name, namespace, _ := strings.Cut(name, ".")
		dirty[Name{namespace, name}.String()] = true
	}
}

// indexPod takes a pod in or out. Pods on the node's network have no address of their own.
func (s *Snapshot) indexPod(p *corev1.Pod, in bool, dirty map[string]bool) {
	if p == nil {
		return
	}
	name := NameOf(p).String()
	maps.Insert(dirty, s.index.podServices.Get(name).All())
	for _, ip := range ipsOf(p) {
		if !p.Spec.HostNetwork {
			at := addressKey(p.Namespace, ip)
			s.index.addresses = setIn(s.index.addresses, at, name, p, in && running(p))
			maps.Insert(dirty, s.index.podServices.Get(at).All())
		}
	}
}

func serviceOf(e *discoveryv1.EndpointSlice) string {
	return Name{e.Namespace, e.Labels[discoveryv1.LabelServiceName]}.String()
}

func serviceAge(k *corev1.Service) string {
	return ageOf(k.CreationTimestamp.Time, resource.Object(k.Name))
}

// Service returns the service of a host, or nil.
func (s *Snapshot) Service(host string) *Service { return s.Services.Get(host) }

// Credential returns the credential in a Secret, or nil.
func (s *Snapshot) Credential(namespace, name string) *Credential {
	return s.Credentials.Get(Name{namespace, name}.String())
}

// CompareProblems orders problems by object, field and reason.
func CompareProblems(a, b Problem) int {
	return compareStrings(string(a.Object), string(b.Object), a.Field, b.Field, a.Reason, b.Reason, a.Stack, b.Stack)
}
