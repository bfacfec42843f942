package envoy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net/url"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// authority signs identities of the trust domain.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

type identity struct{ certificate, key, roots []byte }

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: newKey(t)}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.certificate, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

func (a *authority) issue(t *testing.T, account string) *identity {
	t.Helper()
	uri := &url.URL{Scheme: "spiffe", Host: "cluster.local", Path: "/ns/default/sa/" + account}
	return a.sign(t, &x509.Certificate{URIs: []*url.URL{uri}})
}

// sign makes a certificate of what the template says about its owner.
func (a *authority) sign(t *testing.T, template *x509.Certificate) *identity {
	t.Helper()
	key := newKey(t)
	template.SerialNumber, template.NotAfter, template.KeyUsage = big.NewInt(2), time.Now().Add(time.Hour), x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	keyDER, keyErr := x509.MarshalPKCS8PrivateKey(key)
	if err := errors.Join(err, keyErr); err != nil {
		t.Fatal(err)
	}
	return &identity{
		certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
		roots:       a.pem,
	}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// install gives an Envoy what its agent would serve.
func (i *identity) install(t *testing.T, b *bootstrapv3.Bootstrap) {
	t.Helper()
	if i == nil {
		return
	}
	b.StaticResources.Secrets = append(b.StaticResources.Secrets, i.pair(workloadSecret), i.authorities(rootsSecret))
	has := map[string]bool{}
	for _, s := range b.StaticResources.Secrets {
		has[s.Name] = true
	}
	for _, c := range b.StaticResources.Clusters {
		installSocket(t, has, c.TransportSocket, &tlsv3.UpstreamTlsContext{})
		for _, m := range c.TransportSocketMatches {
			installSocket(t, has, m.TransportSocket, &tlsv3.UpstreamTlsContext{})
		}
	}
	for _, l := range b.StaticResources.Listeners {
		eachChain(l, func(chain *listenerv3.FilterChain) {
			installSocket(t, has, chain.TransportSocket, &tlsv3.DownstreamTlsContext{})
		})
	}
}

func (i *identity) pair(name string) *tlsv3.Secret {
	return certificateSecret(name, &mesh.Credential{Certificate: i.certificate, PrivateKey: i.key})
}

func (i *identity) authorities(name string) *tlsv3.Secret {
	return validationSecret(name, &mesh.Credential{CA: i.roots})
}

type tlsContext interface {
	validated
	GetCommonTlsContext() *tlsv3.CommonTlsContext
}

// installSocket makes the references to secrets that the Envoy has static; for the others it asks an agent that is not there.
func installSocket(t *testing.T, has map[string]bool, s *corev3.TransportSocket, context tlsContext) {
	t.Helper()
	if !s.GetTypedConfig().MessageIs(context) {
		return
	}
	if err := s.GetTypedConfig().UnmarshalTo(context); err != nil {
		t.Fatal(err)
	}
	common := context.GetCommonTlsContext()
	references := append(common.TlsCertificateSdsSecretConfigs, common.GetCombinedValidationContext().GetValidationContextSdsSecretConfig())
	for _, reference := range references {
		if has[reference.GetName()] {
			reference.SdsConfig = nil
		}
	}
	s.ConfigType = &corev3.TransportSocket_TypedConfig{TypedConfig: pack(context)}
}
