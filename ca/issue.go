package ca

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"slices"
	"time"
)

// backdate is how far the clocks of a mesh may be apart.
const backdate = 2 * time.Minute

// issuer signs certificates. It sees names, a key and a lifetime; what the CSR asked for is out of its reach.
type issuer struct {
	ttl time.Duration // the longest lifetime, and that of a request that names none
	now func() time.Time
}

// Issue makes the whole template, signs it and checks what came out.
func (i issuer) Issue(signer *authority, who certNames, key crypto.PublicKey, ttl time.Duration) (*x509.Certificate, error) {
	template, err := i.template(signer, who, ttl)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer.cert, key, signer.key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read own certificate: %w", err)
	}
	if err := i.check(signer, who, key, leaf); err != nil {
		return nil, fmt.Errorf("check own certificate: %w", err)
	}
	return leaf, nil
}

func (i issuer) template(signer *authority, who certNames, ttl time.Duration) (*x509.Certificate, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	now := i.now()
	if ttl <= 0 {
		ttl = i.ttl
	}
	notAfter := now.Add(min(ttl, i.ttl))
	if notAfter.After(signer.cert.NotAfter) {
		notAfter = signer.cert.NotAfter // nothing outlives its signer
	}
	if !who.expires.IsZero() && notAfter.After(who.expires) {
		notAfter = who.expires
	}
	if !notAfter.After(now) {
		return nil, fmt.Errorf("the root, or what the caller proved itself with, expired on %s", notAfter)
	}
	notBefore := now.Add(-backdate)
	if notBefore.Before(signer.cert.NotBefore) {
		notBefore = signer.cert.NotBefore
	}
	return &x509.Certificate{
		SerialNumber:          serial,
		Subject:               who.subject.Subject(),
		NotBefore:             notBefore,
		NotAfter:              notAfter,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           extKeyUsage,
		BasicConstraintsValid: true,
		URIs:                  []*url.URL{who.id.URI()},
		DNSNames:              who.dns,
	}, nil
}

var extKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}

// newSerial returns 127 random bits: unique without a memory shared by replicas, and positive in 20 octets.
func newSerial() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("make serial number: %w", err)
	}
	return serial.Add(serial, big.NewInt(1)), nil
}

// check looks at a finished certificate as a suspicious verifier would.
func (i issuer) check(signer *authority, who certNames, key crypto.PublicKey, leaf *x509.Certificate) error {
	comparable, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	switch {
	case !ok || !comparable.Equal(key):
		return errors.New("another public key")
	case leaf.IsCA || !leaf.BasicConstraintsValid:
		return errors.New("basic constraints are not CA:FALSE")
	case leaf.KeyUsage != x509.KeyUsageDigitalSignature:
		return fmt.Errorf("key usage %b", leaf.KeyUsage)
	case !slices.Equal(leaf.ExtKeyUsage, extKeyUsage) || len(leaf.UnknownExtKeyUsage) != 0:
		return fmt.Errorf("extended key usage %v", leaf.ExtKeyUsage)
	case len(leaf.URIs) != 1 || leaf.URIs[0].String() != who.id.String():
		return fmt.Errorf("identity %v", leaf.URIs)
	case !slices.Equal(leaf.DNSNames, who.dns) || len(leaf.IPAddresses)+len(leaf.EmailAddresses) != 0:
		return fmt.Errorf("names %v %v %v", leaf.DNSNames, leaf.IPAddresses, leaf.EmailAddresses)
	case leaf.NotAfter.After(signer.cert.NotAfter) || leaf.NotAfter.After(i.now().Add(i.ttl)):
		return fmt.Errorf("expires %s", leaf.NotAfter)
	case !who.expires.IsZero() && leaf.NotAfter.After(who.expires):
		return fmt.Errorf("expires %s, after its proof", leaf.NotAfter)
	case len(leaf.UnhandledCriticalExtensions) != 0:
		return fmt.Errorf("critical extensions %v", leaf.UnhandledCriticalExtensions)
	}
	return leaf.CheckSignatureFrom(signer.cert)
}
