package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/mesh-operator/mesh-operator/internal/certclient"
)

// The names by which Envoy requests the workload's own certificate and the roots it trusts.
const (
	workloadSecret = "default"
	rootSecret     = "ROOTCA"
)

// secret is one resource of the SDS socket. Its version is a hash of its content: the same content is sent once.
type secret struct {
	version string
	body    []byte // encoded envoy.extensions.transport_sockets.tls.v3.Secret
}

// lookup finds the current secret of a name.
type lookup func(name string) (secret, bool)

// workloadSecrets are the workload's certificate and roots, by name.
type workloadSecrets map[string]secret

func (s workloadSecrets) get(name string) (secret, bool) {
	found, ok := s[name]
	return found, ok
}

// currentSecrets returns the workload's own secrets; none before the first certificate.
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
	return newSecret(encodePair(name, chain, key), chain)
}

func validationSecret(name string, roots, revoked []byte) secret {
	return newSecret(encodeValidation(name, roots, revoked), slices.Concat(roots, revoked))
}

// newSecret hashes the public part only, because versions are logged.
func newSecret(body, public []byte) secret {
	sum := sha256.Sum256(public)
	return secret{version: hex.EncodeToString(sum[:8]), body: body}
}
