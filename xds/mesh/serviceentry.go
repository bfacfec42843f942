package mesh

import (
	"net/netip"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
)

// ServiceEntry is a ServiceEntry object: a service for each of its hosts.
//
// Its services are for callers of its own namespace, and those of the root namespace for all: a host can be written by anybody, and
// one of a third namespace would redirect the traffic of others.
type ServiceEntry struct {
	Namespace string
	Services  []*Service
	Key       string
}

func (e *ServiceEntry) key() string { return e.Key }

func newServiceEntry(o istioconfig.Object, spec *networking.ServiceEntry) *ServiceEntry {
	e := &ServiceEntry{Namespace: o.Namespace, Key: configKey(o)}
	addresses, ranges := addressesAndRanges(spec.GetAddresses())
	for _, host := range spec.GetHosts() {
		s := &Service{
			Object: objectOf(o), Namespace: o.Namespace, Name: host, Host: host, Resolution: resolutions[spec.GetResolution()],
			Addresses: addresses, Ranges: ranges, ExportTo: spec.GetExportTo(), Created: o.Created,
		}
		for _, p := range spec.GetPorts() {
			s.Ports = append(s.Ports, entryPort(spec, p, s))
		}
		s.finish()
		e.Services = append(e.Services, s)
	}
	return e
}

var resolutions = map[networking.ServiceEntry_Resolution]Resolution{
	networking.ServiceEntry_NONE: Unresolved, networking.ServiceEntry_STATIC: ByProxy,
	networking.ServiceEntry_DNS: ByDNS, networking.ServiceEntry_DNS_ROUND_ROBIN: ByFirstOfDNS,
}

// addressesAndRanges tells single addresses from blocks of them, each once. Of a block the bits after the prefix have no meaning.
func addressesAndRanges(list []string) (addresses []string, ranges []netip.Prefix) {
	for _, text := range list {
		switch prefix, err := netip.ParsePrefix(text); {
		case err != nil:
			addresses = append(addresses, text)
		case prefix.IsSingleIP():
			addresses = append(addresses, prefix.Addr().String())
		case !slices.Contains(ranges, prefix.Masked()):
			ranges = append(ranges, prefix.Masked())
		}
	}
	slices.Sort(addresses)
	return slices.Compact(addresses), ranges
}

func entryPort(spec *networking.ServiceEntry, p *networking.ServicePort, s *Service) *Port {
	port := &Port{Name: p.GetName(), Number: p.GetNumber(), Protocol: protocolNamed(p.GetProtocol())}
	list := spec.GetEndpoints()
	if len(list) == 0 && (s.Resolution == ByDNS || s.Resolution == ByFirstOfDNS) {
		list = []*networking.WorkloadEntry{{Address: s.Host}}
	}
	anyAccount := false
	for _, e := range list {
		endpoint := Endpoint{Address: e.GetAddress(), Port: endpointPort(e, p), Labels: e.GetLabels(), Weight: e.GetWeight()}
		if endpoint.MTLS = istioconfig.AcceptsMutualTLS(spec, e); endpoint.MTLS {
			if endpoint.Account = e.GetServiceAccount(); endpoint.Account != "" {
				endpoint.Account = s.Namespace + "/" + endpoint.Account
				port.Accounts = append(port.Accounts, endpoint.Account)
			}
			anyAccount = anyAccount || endpoint.Account == ""
		}
		port.Endpoints = append(port.Endpoints, endpoint)
	}
	port.Endpoints = uniqueEndpoints(port.Endpoints)
	if slices.Sort(port.Accounts); anyAccount {
		port.Accounts = nil // any of the namespace
	}
	port.Accounts = slices.Compact(port.Accounts)
	return port
}

func endpointPort(e *networking.WorkloadEntry, p *networking.ServicePort) uint32 {
	if n := e.GetPorts()[p.GetName()]; n != 0 {
		return n
	}
	if p.GetTargetPort() != 0 {
		return p.GetTargetPort()
	}
	return p.GetNumber()
}

func (s *Snapshot) putServiceEntry(e *ServiceEntry, in bool) {
	for _, service := range e.Services {
		s.Entries = setAt(s.Entries, service.Host, e.Namespace, ageOf(service.Created, service.Object), service, in)
	}
}

// ServiceFor returns the service that callers of a namespace reach by a host, or nil: of Kubernetes if there is one, else that of the
// oldest ServiceEntry of the namespace, else of the root namespace.
func (s *Snapshot) ServiceFor(host, caller string) *Service {
	if service := s.Service(host); service != nil {
		if Exported(service.ExportTo, service.Namespace, caller) {
			return service
		}
		return nil
	}
	byNamespace := s.Entries.Get(host)
	for _, namespace := range []string{caller, s.Settings.RootNamespace} {
		for service := range byNamespace.Get(namespace).Values() {
			if Exported(service.ExportTo, namespace, caller) {
				return service
			}
		}
	}
	return nil
}

// External tells whether the service comes from a ServiceEntry.
func (s *Service) External() bool {
	return strings.HasPrefix(string(s.Object), string(istioconfig.ServiceEntry)+"/")
}
