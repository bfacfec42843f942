package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/mesh-operator/mesh-operator/internal/certclient"
)

// The names by which Envoy asks for the workload's own certificate and for the roots it trusts.
const (
	workloadSecret = "default"
	rootSecret     = "ROOTCA"
)

// secret is one resource of the SDS socket; its version is a hash of what it holds, so that equal content is sent once.
type secret struct {
	version string
	body    *anypb.Any
}

// lookup finds what there is to serve under a name.
type lookup func(name string) (secret, bool)

// ownSecrets are the workload's certificate and roots, by name.
type workloadSecrets map[string]secret

func (s workloadSecrets) get(name string) (secret, bool) {
	found, ok := s[name]
	return found, ok
}

// currentSecrets returns the workload's own secrets as they are now.
func currentSecrets(client *certclient.Client) (workloadSecrets, error) {
	certificate := client.Certificate()
	if certificate == nil {
		return nil, nil
	}
	chain, key, err := certclient.PEM(certificate)
	if err != nil {
		return nil, err
	}
	return secretsOf(chain, key, client.Bundle()), nil
}

func secretsOf(chain, key, roots []byte) workloadSecrets {
	return workloadSecrets{workloadSecret: pairSecret(workloadSecret, chain, key), rootSecret: validationSecret(rootSecret, roots, nil)}
}

func pairSecret(name string, chain, key []byte) secret {
	return newSecret(&tlsv3.Secret{Name: name, Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
		CertificateChain: inline(chain), PrivateKey: inline(key),
	}}}, chain)
}

func validationSecret(name string, roots, revoked []byte) secret {
	context := &tlsv3.CertificateValidationContext{TrustedCa: inline(roots)}
	if len(revoked) > 0 {
		context.Crl = inline(revoked)
	}
	return newSecret(&tlsv3.Secret{Name: name, Type: &tlsv3.Secret_ValidationContext{ValidationContext: context}}, slices.Concat(roots, revoked))
}

// newSecret takes the version from the public part: versions are logged.
func newSecret(s *tlsv3.Secret, public []byte) secret {
	sum := sha256.Sum256(public)
	return secret{version: hex.EncodeToString(sum[:8]), body: typed(s)}
}

func inline(data []byte) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: data}}
}
