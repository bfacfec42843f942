package mesh

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// CASuffix marks the Secret that holds only the certificates which a gateway's clients are verified with.
const CASuffix = "-cacert"

// maxPEM bounds what is parsed: certificate chains are a few KiB, and parsing is not linear in all that can be written.
const maxPEM = 256 << 10

// buildCredentials reads the Secrets that Gateways refer to, in whatever namespace the gateway may run.
func (s *Snapshot) buildCredentials(prev *Snapshot, in Inputs) {
	wanted := map[string]bool{}
	for _, g := range s.Gateways {
		for _, server := range g.Spec.GetServers() {
			if name := server.GetTls().GetCredentialName(); name != "" {
				name = strings.TrimPrefix(name, "kubernetes://")
				wanted[name], wanted[name+CASuffix] = true, true
			}
		}
	}
	for _, secret := range in.Secrets {
		if !wanted[secret.Name] {
			continue
		}
		n := Name{secret.Namespace, secret.Name}
		c := newCredential(secret)
		if prev != nil && prev.Credentials[n] != nil && prev.Credentials[n].Key == c.Key {
			c = prev.Credentials[n]
		} else {
			c.Err = c.check()
		}
		s.Credentials[n] = c
	}
}

func newCredential(secret *corev1.Secret) *Credential {
	first := func(keys ...string) []byte {
		for _, k := range keys {
			if v := secret.Data[k]; len(v) > 0 {
				return v
			}
		}
		return nil
	}
	c := &Credential{
		Object:      resource.Object("Secret/" + secret.Namespace + "/" + secret.Name),
		Certificate: first("tls.crt", "cert"), PrivateKey: first("tls.key", "key"), CA: first("ca.crt", "cacert"),
	}
	c.Key = NewHash().Add(secret.Namespace, secret.Name, string(c.Certificate), string(c.PrivateKey), string(c.CA)).Key()
	return c
}

// check says why Envoy could not use the credential. It never repeats what is in it.
func (c *Credential) check() string {
	if len(c.Certificate)+len(c.PrivateKey)+len(c.CA) > maxPEM {
		return fmt.Sprintf("is larger than %d KiB", maxPEM>>10)
	}
	if len(c.CA) > 0 && !allCertificates(c.CA) {
		return "ca.crt is not a list of PEM certificates"
	}
	if len(c.Certificate) == 0 && len(c.PrivateKey) == 0 && len(c.CA) > 0 {
		return "" // a Secret of verification only
	}
	if len(c.Certificate) == 0 || len(c.PrivateKey) == 0 {
		return "lacks tls.crt or tls.key"
	}
	pair, err := tls.X509KeyPair(c.Certificate, c.PrivateKey)
	if err != nil {
		return "tls.crt and tls.key are not a key pair: " + err.Error()
	}
	switch key := pair.PrivateKey.(type) {
	case *rsa.PrivateKey:
		if key.N.BitLen() < 2048 {
			return fmt.Sprintf("its RSA key has %d bits, Envoy wants 2048", key.N.BitLen())
		}
	case *ecdsa.PrivateKey:
		if key.Curve.Params().BitSize < 256 {
			return "its ECDSA key has fewer than 256 bits"
		}
	default:
		return "its key is neither RSA nor ECDSA"
	}
	return ""
}

func allCertificates(text []byte) bool {
	count := 0
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return count > 0
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return false
		}
		count++
	}
}
