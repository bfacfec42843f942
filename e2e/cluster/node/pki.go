package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// authority signs the certificates of one cluster. Its key never leaves the cluster's folder.
type authority struct {
	dir         string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// identity is the subject of a certificate.
type identity struct {
	file   string
	name   string
	groups []string
	names  []string // DNS names and addresses, for servers
}

const lifetime = 365 * 24 * time.Hour

func newAuthority(dir string) (*authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create certificate authority: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("create certificate authority: %w", err)
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "cluster-ca"},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	a := &authority{dir: dir, key: key, certificate: template}
	if a.certificate, err = a.sign(template, key); err != nil {
		return nil, fmt.Errorf("create certificate authority: %w", err)
	}
	return a, a.save("ca", a.certificate, key)
}

// issue writes file.crt and file.key.
func (a *authority) issue(id identity) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("issue certificate %s: %w", id.file, err)
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: id.name, Organization: id.groups},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, name := range id.names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	certificate, err := a.sign(template, key)
	if err != nil {
		return fmt.Errorf("issue certificate %s: %w", id.file, err)
	}
	return a.save(id.file, certificate, key)
}

func (a *authority) sign(template *x509.Certificate, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(lifetime)
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func (a *authority) save(file string, certificate *x509.Certificate, key *ecdsa.PrivateKey) error {
	if err := a.write(file+".crt", "CERTIFICATE", certificate.Raw); err != nil {
		return err
	}
	return a.saveKey(file+".key", key)
}

func (a *authority) saveKey(file string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("save key %s: %w", file, err)
	}
	return a.write(file, "EC PRIVATE KEY", der)
}

// issueTokenKey creates the key pair that signs and verifies service account tokens.
func (a *authority) issueTokenKey() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("create token key: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return fmt.Errorf("create token key: %w", err)
	}
	if err := a.write("sa.pub", "PUBLIC KEY", public); err != nil {
		return err
	}
	return a.saveKey("sa.key", key)
}

func (a *authority) write(file, kind string, der []byte) error {
	content := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	return os.WriteFile(filepath.Join(a.dir, file), content, 0o600)
}
