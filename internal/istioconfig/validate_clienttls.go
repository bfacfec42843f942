package istioconfig

import (
	"fmt"
	"slices"

	networking "istio.io/api/networking/v1alpha3"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/mesh-operator/mesh-operator/internal/certfile"
)

// clientTLS refuses settings that the mode has no use for, and those that do not go together: who names a certificate wants
// it shown, who names an authority wants it asked.
func (c *checker) clientTLS(path, host string, t *networking.ClientTLSSettings) {
	if t == nil || !c.tlsLimits(path, host, t) {
		return
	}
	set := setFields(t)
	switch t.GetMode() {
	case networking.ClientTLSSettings_SIMPLE:
		c.noEffect(path, set, "with SIMPLE, which shows no certificate", "remove it, or use mode MUTUAL", "clientCertificate", "privateKey")
	case networking.ClientTLSSettings_MUTUAL:
		c.clientPair(path, t)
	default:
		c.noEffect(path, set, "with "+t.GetMode().String(), "remove it, or use mode SIMPLE or MUTUAL", sortedKeys(set)...)
		return
	}
	if t.GetCredentialName() != "" {
		c.noEffect(path, set, "with credentialName, which names all certificates", "remove one of them: files are for sidecars, Secrets for gateways",
			"clientCertificate", "privateKey", "caCertificates", "caCrl")
	}
	if t.GetInsecureSkipVerify().GetValue() {
		c.noEffect(path, set, "with insecureSkipVerify, which verifies nothing", "remove one of them", "caCertificates", "caCrl", "subjectAltNames")
		if t.GetMode() == networking.ClientTLSSettings_SIMPLE {
			c.noEffect(path, set, "with insecureSkipVerify, which verifies nothing", "remove one of them", "credentialName")
		}
	}
	c.clientNames(path, t)
	c.clientFiles(path, t)
}

// setFields tells which settings beside the mode are there.
func setFields(t *networking.ClientTLSSettings) map[string]bool {
	return map[string]bool{
		"clientCertificate": t.GetClientCertificate() != "", "privateKey": t.GetPrivateKey() != "", "caCertificates": t.GetCaCertificates() != "",
		"caCrl": t.GetCaCrl() != "", "credentialName": t.GetCredentialName() != "", "subjectAltNames": len(t.GetSubjectAltNames()) > 0, "sni": t.GetSni() != "",
		"insecureSkipVerify": t.GetInsecureSkipVerify().GetValue(),
	}
}

// noEffect adds a problem for each of the fields that is set.
func (c *checker) noEffect(path string, set map[string]bool, with, fix string, fields ...string) {
	for _, field := range fields {
		if set[field] {
			c.add(path+"."+field, "has no meaning "+with, fix)
		}
	}
}

// clientPair wants to know what to prove the proxy's identity with.
func (c *checker) clientPair(path string, t *networking.ClientTLSSettings) {
	if t.GetCredentialName() != "" {
		return
	}
	const fix = "name the file that is mounted into the proxy, or for gateways a Secret in credentialName"
	if t.GetClientCertificate() == "" {
		c.add(path+".clientCertificate", "is required for MUTUAL", fix)
	}
	if t.GetPrivateKey() == "" {
		c.add(path+".privateKey", "is required for MUTUAL", fix)
	}
}

func (c *checker) clientNames(path string, t *networking.ClientTLSSettings) {
	if t.GetSni() != "" {
		c.host(path+".sni", t.GetSni(), false)
	}
	if i := slices.Index(t.GetSubjectAltNames(), ""); i >= 0 {
		c.addf(fmt.Sprintf("%s.subjectAltNames[%d]", path, i), "is empty")
	}
	if name := t.GetCredentialName(); name != "" && len(validation.IsDNS1123Subdomain(name)) > 0 {
		c.addf(path+".credentialName", "%q is not the name of a Secret", name)
	}
}

func (c *checker) clientFiles(path string, t *networking.ClientTLSSettings) {
	for _, f := range []struct{ field, file string }{
		{"clientCertificate", t.GetClientCertificate()}, {"privateKey", t.GetPrivateKey()}, {"caCertificates", t.GetCaCertificates()}, {"caCrl", t.GetCaCrl()},
	} {
		if f.file == "" || f.field == "caCertificates" && f.file == certfile.System {
			continue
		}
		if err := certfile.CheckPath(f.file); err != nil {
			c.add(path+"."+f.field, fmt.Sprintf("%q %v", f.file, err), "mount the file below /etc/certs, for example, and name it there")
		}
	}
}

// clientTLSOf calls visit with the client-side TLS settings of a rule, each with its field.
func clientTLSOf(dr *networking.DestinationRule, visit func(field string, t *networking.ClientTLSSettings)) {
	policy := func(path string, p *networking.TrafficPolicy) {
		visit(path+".tls", p.GetTls())
		for i, settings := range p.GetPortLevelSettings() {
			visit(fmt.Sprintf("%s.portLevelSettings[%d].tls", path, i), settings.GetTls())
		}
	}
	policy("spec.trafficPolicy", dr.GetTrafficPolicy())
	for i, s := range dr.GetSubsets() {
		policy(fmt.Sprintf("spec.subsets[%d].trafficPolicy", i), s.GetTrafficPolicy())
	}
}

// clientTLSWarnings tells what works at gateways only, and what verifies nothing.
func (c *checker) clientTLSWarnings(dr *networking.DestinationRule) {
	clientTLSOf(dr, func(field string, t *networking.ClientTLSSettings) {
		if t.GetCredentialName() != "" {
			c.add(field+".credentialName", "is for gateways: calls of sidecars to this host fail", "mount the certificates into the sidecars and name the files")
		}
		if t.GetInsecureSkipVerify().GetValue() {
			c.add(field+".insecureSkipVerify", "the server is not verified: anybody in between can be it", "name its authority in caCertificates")
		}
	})
}
