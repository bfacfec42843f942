package mesh

import (
	"iter"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

// serviceInputs is what the service of a Kubernetes Service is made from.
type serviceInputs struct {
	service *corev1.Service
	slices  []*discoveryv1.EndpointSlice
	pods    []*corev1.Pod // of the endpoints, in their order; nil where there is none
	aliases []Name
}

// updateKubernetesService makes the service of a Kubernetes Service again, and nothing of it if there is none any more.
func (s *Snapshot) updateKubernetesService(name string) {
	namespace, short, _ := strings.Cut(name, "/")
	host := HostOf(namespace, short)
	k := s.in.Services.Get(name)
	s.index.invalid = s.index.invalid.Without("Service/" + name) // of a panic that is solved
	if k == nil || k.Spec.Type == corev1.ServiceTypeExternalName {
		s.putService(host, nil)
		return
	}
	s.putService(host, s.buildService(s.inputsOf(k)))
}

// updatePodServices keeps the list of the services that a pod is behind.
func (s *Snapshot) updatePodServices(prev *Snapshot, name string) {
	before, now := prev.index.slices.Get(name), s.index.slices.Get(name)
	for pod := range podsOf(before) {
		s.index.podServices = s.index.podServices.Without(pod, name)
	}
	for pod := range podsOf(now) {
		s.index.podServices = s.index.podServices.With(pod, name, true)
	}
}

func podsOf(es table.Table[*discoveryv1.EndpointSlice]) iter.Seq[string] {
	return func(yield func(string) bool) {
		for slice := range es.Values() {
			for i := range slice.Endpoints {
				if pod := endpointPod(slice.Namespace, &slice.Endpoints[i]); pod != "" && !yield(pod) {
					return
				}
			}
		}
	}
}

func (s *Snapshot) inputsOf(k *corev1.Service) serviceInputs {
	inputs := serviceInputs{service: k}
	// DNS leads the clients of an alias to the service's address, where they ask for it by the name that they know.
	for alias := range s.index.aliases.Get(HostOf(k.Namespace, k.Name)).Values() {
		inputs.aliases = append(inputs.aliases, NameOf(alias))
	}
	for slice := range s.index.slices.Get(NameOf(k).String()).Values() {
		inputs.slices = append(inputs.slices, slice)
		for i := range slice.Endpoints {
			inputs.pods = append(inputs.pods, s.podOf(endpointPod(slice.Namespace, &slice.Endpoints[i])))
		}
	}
	return inputs
}

// endpointPod says where to look for the pod behind an endpoint: the namespace/name that the endpoint refers to, or, in a slice
// that a person wrote, addressKey its address. Empty: there is none.
func endpointPod(namespace string, e *discoveryv1.Endpoint) string {
	switch {
	case e.TargetRef == nil && len(e.Addresses) > 0:
		return addressKey(namespace, e.Addresses[0])
	case e.TargetRef == nil || e.TargetRef.Kind != "Pod":
		return ""
	}
	return Name{namespace, e.TargetRef.Name}.String()
}

func addressKey(namespace, ip string) string { return "@" + Name{namespace, ip}.String() }

// podOf finds the pod at what endpointPod says.
func (s *Snapshot) podOf(behind string) *corev1.Pod {
	if !strings.HasPrefix(behind, "@") {
		return s.pod(behind)
	}
	for p := range s.index.addresses.Get(behind).Values() {
		return p
	}
	return nil
}

func (s *Snapshot) buildService(in serviceInputs) *Service {
	k := in.service
	service := &Service{
		Object:    resource.Object("Service/" + k.Namespace + "/" + k.Name),
		Namespace: k.Namespace, Name: k.Name, Host: HostOf(k.Namespace, k.Name), Created: k.CreationTimestamp.Time, ExportTo: exportToOf(k),
		Kubernetes: &KubernetesNames{Name: NameOf(k), Aliases: in.aliases},
	}
	if k.Spec.ClusterIP == corev1.ClusterIPNone {
		service.Resolution = ByClient
	} else {
		service.Addresses = addressesOf(k)
		service.Affinity = k.Spec.SessionAffinity == corev1.ServiceAffinityClientIP
	}
	ports, protocol := portsOf(k)
	for _, p := range ports {
		port := &Port{Name: p.Name, Number: uint32(p.Port), Protocol: protocol(p)}
		s.fillEndpoints(port, in)
		service.Ports = append(service.Ports, port)
	}
	service.finish()
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
			endpoint.PodAddress = slices.Contains(ipsOf(pod), address)
			endpoint.Account = pod.Namespace + "/" + accountOf(pod)
			endpoint.Labels = pod.Labels
			endpoint.Workload = telemetryWorkload(pod)
			endpoint.MTLS = pod.Labels[tlsModeLabel] == "istio" && captures(pod, port) &&
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
