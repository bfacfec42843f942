package ca

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/internal/names"
	"github.com/mesh-operator/mesh-operator/internal/owner"
	"github.com/mesh-operator/mesh-operator/internal/trust"
)

// How the root is stored; the names are the ones that operators of older meshes know.
const (
	rootSecret     = names.RootSecret
	rootSecretType = corev1.SecretType("istio.io/ca-root")
	rootCertKey    = "ca-cert.pem"
	rootKeyKey     = "ca-key.pem"
	extraRootsKey  = "root-cert.pem" // optional: further roots of the bundle, while one replaces another

	component = "citadel"
)

// authority is a root that can sign, and the bundle that goes with it. The bundle is a function of the Secret alone, so
// that replicas never disagree about what to publish. Immutable.
type authority struct {
	cert   *x509.Certificate
	key    crypto.Signer
	bundle trust.Bundle
	data   map[string][]byte // as stored, for restoring it

	since    time.Time // when this process first had this bundle
	takeover time.Time // when the root in data signs in place of this one; zero: this is the one in data
}

// generateRoot makes a new root for a trust domain.
func generateRoot(trustDomain string, ttl time.Duration, now time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make root key: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: []string{trustDomain}, CommonName: "mesh root " + serial.Text(16)[:8]},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(ttl),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("sign root: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode root key: %w", err)
	}
	return parseAuthority(map[string][]byte{
		rootCertKey: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		rootKeyKey:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
	}, now)
}

// rootSecretOf is how an authority is stored.
func rootSecretOf(a *authority, namespace string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: rootSecret, Labels: owner.Labels(component)},
		Type:       rootSecretType,
		Data:       a.data,
	}
}

// parseAuthority reads the data of the root Secret and refuses what could not sign.
func parseAuthority(data map[string][]byte, now time.Time) (*authority, error) {
	own, err := trust.Parse(data[rootCertKey])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", rootCertKey, err)
	}
	cert := own.Roots()[0]
	if err := checkRoot(own, now); err != nil {
		return nil, fmt.Errorf("%s: %w", rootCertKey, err)
	}
	key, err := parseKey(data[rootKeyKey])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", rootKeyKey, err)
	}
	if public, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(key.Public()) {
		return nil, fmt.Errorf("%s does not belong to %s", rootKeyKey, rootCertKey)
	}
	bundle := own
	if more := bytes.TrimSpace(data[extraRootsKey]); len(more) != 0 {
		others, err := trust.Parse(more)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", extraRootsKey, err)
		}
		bundle = trust.New(append([]*x509.Certificate{cert}, others.Roots()...)...)
	}
	return &authority{cert: cert, key: key, bundle: bundle, data: data, since: now}, nil
}

func checkRoot(own trust.Bundle, now time.Time) error {
	cert := own.Roots()[0]
	switch {
	case len(own.Roots()) != 1:
		return fmt.Errorf("%d certificates, want the root alone", len(own.Roots()))
	case cert.CheckSignatureFrom(cert) != nil:
		return errors.New("not self-signed: an intermediate CA can't be plugged in yet")
	case cert.KeyUsage&x509.KeyUsageCertSign == 0:
		return errors.New("may not sign certificates")
	case now.After(cert.NotAfter):
		return fmt.Errorf("expired on %s", cert.NotAfter)
	}
	return nil
}

func parseKey(text []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no PEM block")
	}
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		return nil, errors.New("PEM block is not a private key")
	}
	if err != nil {
		return nil, errors.New("not a readable private key") // the cause might quote the key
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a %T can't sign", key)
	}
	return signer, nil
}
