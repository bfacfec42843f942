package istioconfig

import (
	"fmt"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	"k8s.io/apimachinery/pkg/util/validation"
)

// plaintext and encrypted are the protocols of a server's port that the translator has a listener for.
var (
	plaintext = []string{"HTTP", "HTTP2", "GRPC"}
	encrypted = []string{"HTTPS"}
)

func (c *checker) gateway(g *networking.Gateway) {
	if !c.gatewayLimits(g) {
		return
	}
	c.labels("spec.selector", g.GetSelector()) // none selects every gateway
	if len(g.GetServers()) == 0 {
		c.add("spec.servers", "is required", "add a server with a port and hosts")
	}
	names := map[string]bool{}
	for i, s := range g.GetServers() {
		path := fmt.Sprintf("spec.servers[%d]", i)
		c.server(path, s)
		if name := s.GetPort().GetName(); name != "" && names[name] {
			c.add(path+".port.name", fmt.Sprintf("%q is there twice", name), "every server's port has a name of its own")
		}
		names[s.GetPort().GetName()] = true
	}
}

func (c *checker) server(path string, s *networking.Server) {
	c.serverPort(path+".port", s.GetPort())
	if len(s.GetHosts()) == 0 {
		c.add(path+".hosts", "is required", `name the hosts, or "*" for all`)
	}
	for i, host := range s.GetHosts() {
		c.serverHost(fmt.Sprintf("%s.hosts[%d]", path, i), host, strings.ToUpper(s.GetPort().GetProtocol()))
	}
	c.serverTLS(path+".tls", s)
}

func (c *checker) serverPort(path string, p *networking.Port) {
	c.portNumber(path+".number", p.GetNumber())
	if p.GetName() == "" {
		c.add(path+".name", "is required", "use for example http or https")
	} else if len(validation.IsDNS1123Subdomain(strings.ToLower(p.GetName()))) > 0 {
		c.addf(path+".name", "%q is not a name: letters, digits, '-' and '.'", p.GetName())
	}
	switch protocol := strings.ToUpper(p.GetProtocol()); {
	case protocol == "":
		c.add(path+".protocol", "is required", "use HTTP or HTTPS")
	case !slices.Contains(plaintext, protocol) && !slices.Contains(encrypted, protocol):
		c.add(path+".protocol", fmt.Sprintf("%s is not supported yet", p.GetProtocol()), "use HTTP or HTTPS")
	}
}

// serverHost accepts host and namespace/host, where the namespace may be "*" or ".".
func (c *checker) serverHost(field, host, protocol string) {
	namespace, name, qualified := strings.Cut(host, "/")
	if !qualified {
		name = host
	} else if namespace != "*" && namespace != "." {
		c.namespace(field, namespace)
	}
	c.host(field, name, true)
	if PartialWildcard(name) && slices.Contains(encrypted, protocol) { // Envoy's FilterChainMatch.server_names has whole labels only
		c.add(field, fmt.Sprintf("%q: the wildcard of a TLS server stands for whole labels", name), `use "*.domain"`)
	}
}

func (c *checker) serverTLS(path string, s *networking.Server) {
	t, protocol := s.GetTls(), strings.ToUpper(s.GetPort().GetProtocol())
	if slices.Contains(plaintext, protocol) {
		if t.GetCredentialName() != "" || t.GetMode() != networking.ServerTLSSettings_PASSTHROUGH {
			c.add(path, "a port of protocol "+protocol+" is not encrypted", "set the port's protocol to HTTPS; only httpsRedirect goes with HTTP")
		}
		return
	}
	if !slices.Contains(encrypted, protocol) {
		return
	}
	switch {
	case t == nil:
		c.add(path, "is required for HTTPS", "set tls: {mode: SIMPLE, credentialName: <secret>}")
	case t.GetHttpsRedirect():
		c.addf(path+".httpsRedirect", "has no meaning on a port that is HTTPS already")
	default:
		c.credential(path, t)
	}
}

func (c *checker) credential(path string, t *networking.ServerTLSSettings) {
	switch t.GetMode() {
	case networking.ServerTLSSettings_PASSTHROUGH: // the zero value, so the generic check does not see it
		c.add(path+".mode", "PASSTHROUGH is not supported yet", "use SIMPLE or MUTUAL")
		return
	case networking.ServerTLSSettings_SIMPLE, networking.ServerTLSSettings_MUTUAL:
	default:
		return
	}
	name := t.GetCredentialName()
	if name == "" {
		c.add(path+".credentialName", "is required", "name a kubernetes.io/tls Secret in the namespace of the gateway's pods")
	} else if len(validation.IsDNS1123Subdomain(name)) > 0 {
		c.addf(path+".credentialName", "%q is not the name of a Secret", name)
	}
}
