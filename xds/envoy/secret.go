package envoy

import (
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/scope"
)

const secretScheme = "kubernetes://"

func secretName(s scope.Server) string {
	return secretScheme + strings.TrimPrefix(s.Spec.GetTls().GetCredentialName(), secretScheme)
}

// pilotSecret gets a secret over the proxy's own stream. The wait is finite: a listener that waits for one certificate
// would keep the others on its port from being served.
func pilotSecret(name string) *tlsv3.SdsSecretConfig {
	return &tlsv3.SdsSecretConfig{Name: name, SdsConfig: adsSource(seconds(15))}
}

// gatewaySecrets adds the secrets that a server needs; false, and a problem, if one cannot be used. The scope holds only
// Secrets of the router's own namespace, so there is no way to another's.
func (c *collector) gatewaySecrets(s scope.Server) bool {
	tls := s.Spec.GetTls()
	if tls.GetCredentialName() == "" {
		c.serverProblem(s, "tls.credentialName", "names no Secret")
		return false
	}
	if !c.usable(s, s.Credential, secretName(s), func(x *mesh.Credential) bool { return len(x.Certificate) > 0 }) {
		return false
	}
	name := secretName(s)
	c.add(mesh.NewHash().Add("secret", name, s.Credential.Key), []resource.Object{s.Credential.Object}, func(d *draft) {
		d.emit(resource.Secret, name, certificateSecret(name, s.Credential))
	})
	if tls.GetMode() != networking.ServerTLSSettings_MUTUAL {
		return true
	}
	ca := caOf(s)
	name += mesh.CASuffix
	if !c.usable(s, ca, name, func(x *mesh.Credential) bool { return len(x.CA) > 0 }) {
		return false
	}
	c.add(mesh.NewHash().Add("secret", name, ca.Key), []resource.Object{ca.Object}, func(d *draft) {
		d.emit(resource.Secret, name, validationSecret(name, ca))
	})
	return true
}

func (c *collector) usable(s scope.Server, x *mesh.Credential, name string, complete func(*mesh.Credential) bool) bool {
	secret := "Secret " + c.scope.Gateway.Namespace + "/" + strings.TrimPrefix(name, secretScheme)
	switch {
	case x == nil:
		c.serverProblem(s, "tls.credentialName", secret+" does not exist in the gateway's namespace")
	case x.Err != "":
		c.serverProblem(s, "tls.credentialName", secret+" "+x.Err)
	case !complete(x):
		c.serverProblem(s, "tls.credentialName", secret+" lacks what tls.mode "+s.Spec.GetTls().GetMode().String()+" needs")
	default:
		return true
	}
	return false
}

// separateCA tells whether clients are verified with a Secret of its own.
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
	return &tlsv3.Secret{Name: name, Type: &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{
		TrustedCa: inline(x.CA),
	}}}
}

func inline(b []byte) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: b}}
}
