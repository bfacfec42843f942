package envoy

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/scope"
)

// Names of SDS secrets for a credential's parts. Their schemes differ, not their ends: a Secret's name may end in any suffix.
const (
	pairScheme        = "kubernetes://"
	authoritiesScheme = "kubernetes-ca://"
)

// pilotSecret fetches a secret over the proxy's ADS stream. The timeout is finite: a listener that waits for one certificate
// would block the other servers on its port.
func pilotSecret(name string) *tlsv3.SdsSecretConfig {
	return &tlsv3.SdsSecretConfig{Name: name, SdsConfig: adsSource(seconds(15))}
}

// gatewaySecrets adds the secrets that a server needs; false, and a problem, if one cannot be used. The scope holds only
// Secrets of the router's own namespace, so there is no way to another's.
func (c *collector) gatewaySecrets(s scope.Server) bool {
	tls, name := s.Spec.GetTls(), mesh.CredentialName(s.Spec.GetTls())
	if name == "" {
		c.serverProblem(s, "tls.credentialName", "names no Secret")
		return false
	}
	if !c.usable(s, s.Credential, name, certificateAndKey) {
		return false
	}
	c.addSecret(pairScheme+name, s.Credential, certificateSecret)
	if tls.GetMode() != networking.ServerTLSSettings_MUTUAL {
		return true
	}
	ca := caOf(s)
	if !c.usable(s, ca, name+mesh.CASuffix, authorities) {
		return false
	}
	c.addSecret(authoritiesScheme+name, ca, validationSecret)
	return true
}

// addSecret adds a secret of the name that Envoy asks for it by.
func (c *collector) addSecret(name string, x *mesh.Credential, make func(string, *mesh.Credential) *tlsv3.Secret) {
	c.add(mesh.NewHash().Add("secret", name, x.Key), []resource.Object{x.Object}, func(d *draft) {
		d.emit(resource.Secret, name, make(name, x))
	})
}

// content is what a credential may hold.
type content struct {
	what string
	in   func(*mesh.Credential) bool
}

var (
	certificateAndKey = content{"tls.crt and tls.key", func(x *mesh.Credential) bool { return len(x.Certificate) > 0 }}
	authorities       = content{"ca.crt", func(x *mesh.Credential) bool { return len(x.CA) > 0 }}
)

func (c *collector) usable(s scope.Server, x *mesh.Credential, name string, needed content) bool {
	reason := c.defect(x, name, needed)
	if reason != "" {
		c.serverProblem(s, "tls.credentialName", reason)
	}
	return reason == ""
}

// defect returns why a credential of the router's namespace cannot be used; "" if it can.
func (c *collector) defect(x *mesh.Credential, name string, needed content) string {
	secret := "Secret " + c.scope.Gateway.Namespace + "/" + name
	switch {
	case x == nil:
		return secret + " does not exist in the gateway's namespace"
	case x.Err != "":
		return secret + " " + x.Err
	case !needed.in(x):
		return secret + " lacks " + needed.what
	}
	return ""
}

// separateCA reports whether clients are verified with a Secret of its own.
func separateCA(s scope.Server) bool { return s.CA != nil }

func caOf(s scope.Server) *mesh.Credential {
	if separateCA(s) {
		return s.CA
	}
	return s.Credential
}

func certificateSecret(name string, x *mesh.Credential) *tlsv3.Secret {
	return &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
		CertificateChain: inline(x.Certificate), PrivateKey: inline(x.PrivateKey),
	}}}
}

func validationSecret(name string, x *mesh.Credential) *tlsv3.Secret {
	context := &tlsv3.CertificateValidationContext{TrustedCa: inline(x.CA)}
	if len(x.Revoked) > 0 {
		context.Crl = inline(x.Revoked)
	}
	return &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_ValidationContext{ValidationContext: context}}
}

func inline(b []byte) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: b}}
}
