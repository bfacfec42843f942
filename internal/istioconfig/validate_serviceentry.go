package istioconfig

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	"k8s.io/apimachinery/pkg/util/validation"
)

// What one ServiceEntry may ask for: each of its hosts is a service with all of its ports, and each port of one has all endpoints.
const (
	maxEntryPorts     = 1000 // of all hosts
	maxEntryHTTPPorts = 100
	maxEntryEndpoints = 100_000 // of all ports of all hosts
	maxEntryAddresses = 256
)

// entryProtocols are the protocols of a ServiceEntry's port; those after TLS are TCP.
var entryProtocols = strings.Fields("HTTP HTTP2 GRPC GRPC-WEB HTTPS TLS TCP MONGO MYSQL REDIS")

// HTTPPort tells whether requests on a port of a ServiceEntry can be routed one by one.
func HTTPPort(p *networking.ServicePort) bool {
	return slices.Contains(entryProtocols[:4], strings.ToUpper(p.GetProtocol()))
}

// EncryptedPort tells whether clients of a port of a ServiceEntry speak TLS, which names the host.
func EncryptedPort(p *networking.ServicePort) bool {
	return slices.Contains([]string{"HTTPS", "TLS"}, strings.ToUpper(p.GetProtocol()))
}

func (c *checker) serviceEntry(se *networking.ServiceEntry) {
	if !c.serviceEntryLimits(se) {
		return
	}
	if len(se.GetHosts()) == 0 {
		c.add("spec.hosts", "is required", "name the host, such as api.example.com; of a service that has no name any name, such as db.external")
	}
	for i, host := range se.GetHosts() {
		c.entryHost(fmt.Sprintf("spec.hosts[%d]", i), host, se)
	}
	c.unique("spec.hosts", se.GetHosts())
	for i, a := range se.GetAddresses() {
		c.entryAddress(fmt.Sprintf("spec.addresses[%d]", i), a)
	}
	c.unique("spec.addresses", se.GetAddresses())
	c.entryPorts(se)
	c.entryEndpoints(se)
	c.exportTo(se.GetExportTo())
}

func (c *checker) serviceEntryLimits(se *networking.ServiceEntry) bool {
	http := 0
	for _, p := range se.GetPorts() {
		if HTTPPort(p) {
			http++
		}
	}
	ports := len(se.GetHosts()) * len(se.GetPorts())
	return c.checkLimits("write several ServiceEntries",
		limit{"spec.ports", "ports of all hosts", ports, maxEntryPorts},
		limit{"spec.ports", "HTTP ports", http, maxEntryHTTPPorts},
		limit{"spec.addresses", "addresses", len(se.GetAddresses()), maxEntryAddresses},
		limit{"spec.endpoints", "endpoints of all ports of all hosts", ports * len(se.GetEndpoints()), maxEntryEndpoints})
}

func (c *checker) entryHost(field, host string, se *networking.ServiceEntry) {
	switch {
	case host == "*":
		c.add(field, `"*" would take over every connection`, "name the hosts, or set spec.mesh.outboundTrafficPolicy: ALLOW_ANY in the Installation")
	case isAddress(host):
		c.add(field, fmt.Sprintf("%q is an address", host), "write it in spec.addresses, and any name such as db.external here")
	case PartialWildcard(host): // Envoy's FilterChainMatch.server_names has whole labels only
		c.add(field, fmt.Sprintf("%q: the wildcard stands for whole labels", host), `use "*.domain"`)
	case host != "" && !strings.Contains(host, "."):
		c.add(field, fmt.Sprintf("%q has no dot: rules would read it as a Service of their namespace", host), "write a full name, such as "+host+".external")
	case strings.HasPrefix(host, "*") && len(se.GetEndpoints()) == 0 && isDNS(se.GetResolution()):
		c.add(field, fmt.Sprintf("%q cannot be looked up in DNS", host), "use resolution: NONE, or name endpoints")
	default:
		c.host(field, host, true)
	}
}

func isDNS(r networking.ServiceEntry_Resolution) bool {
	return r == networking.ServiceEntry_DNS || r == networking.ServiceEntry_DNS_ROUND_ROBIN
}

func (c *checker) entryAddress(field, address string) {
	if _, err := netip.ParsePrefix(address); err != nil && !isAddress(address) {
		c.addf(field, "%q is neither an IP address nor a CIDR block such as 192.0.2.0/24", address)
	}
}

func (c *checker) entryPorts(se *networking.ServiceEntry) {
	if len(se.GetPorts()) == 0 {
		c.add("spec.ports", "is required", "add a port with number, name and protocol")
	}
	names, numbers := map[string]bool{}, map[uint32]bool{}
	for i, p := range se.GetPorts() {
		path := fmt.Sprintf("spec.ports[%d]", i)
		c.portNumber(path+".number", p.GetNumber())
		if numbers[p.GetNumber()] {
			c.addf(path+".number", "%d is there twice", p.GetNumber())
		}
		if p.GetName() == "" || len(validation.IsDNS1123Label(strings.ToLower(p.GetName()))) > 0 {
			c.addf(path+".name", "%q is not a name: letters, digits and '-', at most 63", p.GetName())
		}
		if names[p.GetName()] {
			c.addf(path+".name", "%q is there twice", p.GetName())
		}
		names[p.GetName()], numbers[p.GetNumber()] = true, true
		c.entryProtocol(path, p, se)
		c.entryTarget(path+".targetPort", p, se)
	}
}

func (c *checker) entryProtocol(path string, p *networking.ServicePort, se *networking.ServiceEntry) {
	switch protocol := strings.ToUpper(p.GetProtocol()); {
	case !slices.Contains(entryProtocols, protocol):
		c.add(path+".protocol", fmt.Sprintf("%q is not supported", p.GetProtocol()), "use "+strings.Join(entryProtocols[:7], ", "))
	case HTTPPort(p) || len(se.GetHosts()) < 2:
	case !EncryptedPort(p):
		c.add(path+".protocol", protocol+" has no host names: connections to several hosts cannot be told apart", "write a ServiceEntry for each host")
	case len(se.GetAddresses()) > 0:
		c.add("spec.addresses", "are those of all hosts: connections to "+protocol+" cannot be told apart by them", "remove them, or write a ServiceEntry for each host")
	}
}

func (c *checker) entryTarget(field string, p *networking.ServicePort, se *networking.ServiceEntry) {
	switch {
	case p.GetTargetPort() == 0:
	case se.GetResolution() == networking.ServiceEntry_NONE:
		c.add(field, "has no effect with resolution NONE: connections go to the port that the workload dials", "remove it, or use resolution: DNS or STATIC")
	default:
		c.portNumber(field, p.GetTargetPort())
	}
}

func (c *checker) entryEndpoints(se *networking.ServiceEntry) {
	list, resolution := se.GetEndpoints(), se.GetResolution()
	switch {
	case resolution == networking.ServiceEntry_NONE && len(list) > 0:
		c.add("spec.endpoints", "have no effect with resolution NONE: connections go where the workload dials", "use resolution: STATIC for addresses, DNS for names")
		return
	case resolution == networking.ServiceEntry_STATIC && len(list) == 0:
		c.add("spec.endpoints", "is required with resolution STATIC", "add endpoints, or use resolution: DNS or NONE")
	case resolution == networking.ServiceEntry_DNS_ROUND_ROBIN && len(list) > 1:
		c.add("spec.endpoints", "DNS_ROUND_ROBIN connects to one name", "leave one endpoint, or use resolution: DNS")
	}
	for i, e := range list {
		c.entryEndpoint(fmt.Sprintf("spec.endpoints[%d]", i), e, se)
	}
}

func (c *checker) entryEndpoint(path string, e *networking.WorkloadEntry, se *networking.ServiceEntry) {
	switch address := e.GetAddress(); {
	case strings.HasPrefix(address, "unix://"):
		c.add(path+".address", "a Unix domain socket is not supported", "name an address")
	case isAddress(address):
	case se.GetResolution() == networking.ServiceEntry_STATIC:
		c.add(path+".address", fmt.Sprintf("%q is not an IP address", address), "use resolution: DNS for names")
	default:
		c.host(path+".address", address, false)
	}
	for _, name := range sortedKeys(e.GetPorts()) {
		field := path + ".ports[" + name + "]"
		if !slices.ContainsFunc(se.GetPorts(), func(p *networking.ServicePort) bool { return p.GetName() == name }) {
			c.add(field, "no port of spec.ports has this name", "use the name of one")
		}
		c.portNumber(field, e.GetPorts()[name])
	}
	c.labels(path+".labels", e.GetLabels())
	if e.GetServiceAccount() != "" && !AcceptsMutualTLS(se, e) {
		c.add(path+".serviceAccount", "has no effect: the endpoint does not accept the mesh's mutual TLS", "set location: MESH_INTERNAL and the label "+tlsModeLabel+": istio, or remove it")
	}
}

// tlsModeLabel is the label of workloads that accept the mesh's mutual TLS.
const tlsModeLabel = "security.istio.io/tlsMode"

// AcceptsMutualTLS tells whether an endpoint accepts the mesh's mutual TLS.
func AcceptsMutualTLS(se *networking.ServiceEntry, e *networking.WorkloadEntry) bool {
	return se.GetLocation() == networking.ServiceEntry_MESH_INTERNAL && e.GetLabels()[tlsModeLabel] == "istio"
}

func (c *checker) serviceEntryWarnings(se *networking.ServiceEntry) {
	c.openToAnyAddress(se)
	accepts := func(e *networking.WorkloadEntry) bool { return AcceptsMutualTLS(se, e) }
	if se.GetLocation() == networking.ServiceEntry_MESH_INTERNAL && !slices.ContainsFunc(se.GetEndpoints(), accepts) {
		c.add("spec.location", "has no effect: no endpoint accepts the mesh's mutual TLS", "give those that do the label "+tlsModeLabel+": istio")
	}
}

// openToAnyAddress warns of ports that are opened to every address: the connection says nothing of the host.
func (c *checker) openToAnyAddress(se *networking.ServiceEntry) {
	for i, p := range se.GetPorts() {
		if HTTPPort(p) || EncryptedPort(p) || len(se.GetAddresses()) > 0 {
			continue
		}
		reason := fmt.Sprintf("every connection to port %d that no other service claims is one to this host", p.GetNumber())
		if se.GetResolution() == networking.ServiceEntry_NONE {
			reason = fmt.Sprintf("every address is allowed on port %d", p.GetNumber())
		}
		c.add(fmt.Sprintf("spec.ports[%d]", i), reason, "name the addresses in spec.addresses")
	}
}
