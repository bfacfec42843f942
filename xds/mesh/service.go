package mesh

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// serviceInputs is what a Service of the model was made from; while these are the same objects, so is the Service.
type serviceInputs struct {
	service  *corev1.Service
	slices   []*discoveryv1.EndpointSlice
	pods     []*corev1.Pod
	aliases  []Name
	policies string
}

func (a serviceInputs) equal(b serviceInputs) bool {
	return a.service == b.service && a.policies == b.policies &&
		slices.Equal(a.slices, b.slices) && slices.Equal(a.pods, b.pods) && slices.Equal(a.aliases, b.aliases)
}

// HostOf is the full name of a Kubernetes Service.
func HostOf(namespace, name string) string { return name + "." + namespace + ".svc." + Domain }

// buildServices fills the snapshot's services and what it knows of their inputs.
func (s *Snapshot) buildServices(prev *Snapshot, in Inputs) {
	byService := map[Name][]*discoveryv1.EndpointSlice{}
	for _, e := range in.EndpointSlices {
		n := Name{e.Namespace, e.Labels[discoveryv1.LabelServiceName]}
		byService[n] = append(byService[n], e)
	}
	aliases := aliasesOf(in.Services)
	for _, k := range in.Services {
		if k.Spec.Type == corev1.ServiceTypeExternalName {
			continue // it selects no pods either, whatever its selector
		}
		s.index.selecting[k.Namespace] = append(s.index.selecting[k.Namespace], k)
		s.Problems = append(s.Problems, unfollowed(k)...)
		n := Name{k.Namespace, k.Name}
		inputs := s.inputsOf(k, byService[n])
		inputs.aliases = aliases[HostOf(k.Namespace, k.Name)]
		service := prev.unchanged(n, inputs)
		if service == nil {
			service = s.buildService(inputs)
		}
		s.index.inputs[n] = inputs
		s.index.services[service.Host] = service
		s.Services = append(s.Services, service)
	}
	slices.SortFunc(s.Services, func(a, b *Service) int { return compareStrings(a.Host, b.Host) })
	for _, list := range s.index.selecting {
		slices.SortFunc(list, olderService)
	}
}

// aliasesOf finds the Services of type ExternalName that stand for another Service, by the host of that. DNS leads their
// clients to its address, where they ask for it by the name that they know.
func aliasesOf(services []*corev1.Service) map[string][]Name {
	aliases := map[string][]Name{}
	for _, k := range services {
		if k.Spec.Type == corev1.ServiceTypeExternalName {
			target := strings.ToLower(strings.TrimSuffix(k.Spec.ExternalName, "."))
			aliases[target] = append(aliases[target], Name{k.Namespace, k.Name})
		}
	}
	for _, list := range aliases {
		slices.SortFunc(list, func(a, b Name) int { return compareStrings(a.Namespace, b.Namespace, a.Name, b.Name) })
	}
	return aliases
}

func olderService(a, b *corev1.Service) int {
	if c := a.CreationTimestamp.Time.Compare(b.CreationTimestamp.Time); c != 0 {
		return c
	}
	return compareStrings(a.Name, b.Name)
}

// inputsOf collects a service's objects in a stable order: lists of informers come in any.
func (s *Snapshot) inputsOf(k *corev1.Service, es []*discoveryv1.EndpointSlice) serviceInputs {
	slices.SortFunc(es, func(a, b *discoveryv1.EndpointSlice) int { return compareStrings(a.Name, b.Name) })
	inputs := serviceInputs{service: k, slices: es, policies: s.index.policies.key}
	for _, slice := range es {
		for i := range slice.Endpoints {
			inputs.pods = append(inputs.pods, s.podOf(slice.Namespace, &slice.Endpoints[i]))
		}
	}
	return inputs
}

// podOf finds the pod behind an endpoint. In a slice that a person wrote, it is told by its address.
func (s *Snapshot) podOf(namespace string, e *discoveryv1.Endpoint) *corev1.Pod {
	switch {
	case e.TargetRef == nil && len(e.Addresses) > 0:
		return s.podAt(Name{namespace, e.Addresses[0]})
	case e.TargetRef == nil || e.TargetRef.Kind != "Pod":
		return nil
	}
	return s.index.pods[Name{namespace, e.TargetRef.Name}]
}

// podAt finds a pod of a namespace by its address, which pods on the node's network do not have for themselves.
func (s *Snapshot) podAt(at Name) *corev1.Pod {
	if s.index.addresses == nil {
		s.index.addresses = map[Name]*corev1.Pod{}
		for name, p := range s.index.pods {
			for _, ip := range ipsOf(p) {
				if !p.Spec.HostNetwork {
					s.index.addresses[Name{name.Namespace, ip}] = p
				}
			}
		}
	}
	return s.index.addresses[at]
}

func (s *Snapshot) unchanged(n Name, inputs serviceInputs) *Service {
	if s == nil {
		return nil
	}
	if before, ok := s.index.inputs[n]; ok && before.equal(inputs) {
		return s.index.services[HostOf(n.Namespace, n.Name)]
	}
	return nil
}

func (s *Snapshot) buildService(in serviceInputs) *Service {
	k := in.service
	service := &Service{
		Object:    resource.Object("Service/" + k.Namespace + "/" + k.Name),
		Namespace: k.Namespace, Name: k.Name, Host: HostOf(k.Namespace, k.Name), Created: k.CreationTimestamp.Time,
		Headless: k.Spec.ClusterIP == corev1.ClusterIPNone, Aliases: in.aliases, ExportTo: exportToOf(k),
	}
	if !service.Headless {
		service.Addresses = addressesOf(k)
	}
	h := NewHash().Add(service.Namespace, service.Name).Bool(service.Headless).List(service.Addresses).Uint(uint64(service.Created.Unix()))
	h.List(service.ExportTo)
	for _, a := range service.Aliases {
		h.Add("alias", a.Namespace, a.Name)
	}
	for _, p := range k.Spec.Ports {
		if !isTCP(p.Protocol) {
			continue
		}
		port := &Port{Name: p.Name, Number: uint32(p.Port), Protocol: protocolOf(p)}
		s.fillEndpoints(port, in)
		service.Ports = append(service.Ports, port)
		h.Add(port.Name, string(port.Protocol)).Uint(uint64(port.Number)).List(port.Accounts).Bool(port.AllMesh)
	}
	service.Key = h.Key()
	return service
}

// exportAnnotation lists the namespaces that a Service is for, as a rule's exportTo does.
const exportAnnotation = "networking.istio.io/exportTo"

func exportToOf(k *corev1.Service) []string {
	var list []string
	for part := range strings.SplitSeq(k.Annotations[exportAnnotation], ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}

func addressesOf(k *corev1.Service) []string {
	if len(k.Spec.ClusterIPs) > 0 {
		return slices.Clone(k.Spec.ClusterIPs)
	}
	if k.Spec.ClusterIP != "" {
		return []string{k.Spec.ClusterIP}
	}
	return nil
}

// fillEndpoints collects a port's ready endpoints, and the accounts of all of them: an endpoint that becomes ready must
// not have to wait for a cluster that knows its identity.
func (s *Snapshot) fillEndpoints(port *Port, in serviceInputs) {
	accounts, next := map[string]bool{}, 0
	for _, slice := range in.slices {
		number, ok := numberIn(slice, port.Name)
		for i := range slice.Endpoints {
			pod := in.pods[next]
			next++
			if !ok {
				continue
			}
			if pod != nil {
				accounts[pod.Namespace+"/"+accountOf(pod)] = true
			}
			if e := &slice.Endpoints[i]; e.Conditions.Ready == nil || *e.Conditions.Ready {
				port.Endpoints = append(port.Endpoints, s.endpoints(e, number, pod)...)
			}
		}
	}
	port.Endpoints = uniqueEndpoints(port.Endpoints)
	port.Accounts = slices.Sorted(maps.Keys(accounts))
	port.AllMesh = len(port.Endpoints) > 0
	h := NewHash()
	for _, e := range port.Endpoints {
		port.AllMesh = port.AllMesh && e.MTLS
		h.Add(e.Address, e.Account, e.Workload).Uint(uint64(e.Port)).Bool(e.Proven).Bool(e.MTLS).Map(e.Labels)
	}
	port.Key = h.Key()
}

func numberIn(slice *discoveryv1.EndpointSlice, name string) (uint32, bool) {
	for _, p := range slice.Ports {
		if p.Port != nil && (p.Name == nil && name == "" || p.Name != nil && *p.Name == name) {
			return uint32(*p.Port), true
		}
	}
	return 0, false
}

func (s *Snapshot) endpoints(e *discoveryv1.Endpoint, port uint32, pod *corev1.Pod) []Endpoint {
	var out []Endpoint
	for _, address := range e.Addresses {
		endpoint := Endpoint{Address: address, Port: port}
		if pod != nil {
			endpoint.Proven = slices.Contains(ipsOf(pod), address)
			endpoint.Account = pod.Namespace + "/" + accountOf(pod)
			endpoint.Labels = pod.Labels
			endpoint.Workload = telemetryOf(pod)
			endpoint.MTLS = pod.Labels[tlsModeLabel] == "istio" &&
				s.index.policies.of(pod.Namespace, pod.Labels).on(port) != Disable
		}
		out = append(out, endpoint)
	}
	return out
}

// uniqueEndpoints sorts and removes repetitions: an endpoint may be in two slices while Kubernetes moves it.
func uniqueEndpoints(list []Endpoint) []Endpoint {
	slices.SortFunc(list, func(a, b Endpoint) int {
		if c := compareStrings(a.Address, b.Address); c != 0 {
			return c
		}
		return int(a.Port) - int(b.Port)
	})
	return slices.CompactFunc(list, func(a, b Endpoint) bool { return a.Address == b.Address && a.Port == b.Port })
}
