// Package trust holds the mesh's trust bundle: the list of root certificates that peers are verified against. It is a list
// from the first day, because a root is replaced by distributing two at a time. Bundles compare as sets: the order of PEM
// blocks means nothing.
package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

const (
	blockType = "CERTIFICATE"
	// mostPEM is far more than a list of roots; decoding PEM is not linear in all that can be written.
	mostPEM = 256 << 10
)

// Bundle is an immutable list of distinct root certificates.
type Bundle struct {
	roots []*x509.Certificate
}

// New returns the bundle of these roots, each kept once.
func New(roots ...*x509.Certificate) Bundle {
	var b Bundle
	for _, root := range roots {
		if !b.Has(root) {
			b.roots = append(b.roots, root)
		}
	}
	return b
}

// Parse reads a PEM list. One bad block spoils the whole: half a bundle would refuse good peers.
func Parse(text []byte) (Bundle, error) {
	if len(text) > mostPEM {
		return Bundle{}, fmt.Errorf("parse bundle: %d bytes, more than %d", len(text), mostPEM)
	}
	var roots []*x509.Certificate
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			if len(bytes.TrimSpace(rest)) != 0 {
				return Bundle{}, errors.New("parse bundle: text after the last PEM block")
			}
			break
		}
		root, err := parseRoot(block)
		if err != nil {
			return Bundle{}, fmt.Errorf("parse bundle: root %d: %w", len(roots), err)
		}
		roots = append(roots, root)
	}
	if len(roots) == 0 {
		return Bundle{}, errors.New("parse bundle: no certificate")
	}
	return New(roots...), nil
}

func parseRoot(block *pem.Block) (*x509.Certificate, error) {
	if block.Type != blockType {
		return nil, fmt.Errorf("PEM block is a %q", block.Type)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	if !cert.IsCA {
		return nil, errors.New("not a CA certificate")
	}
	return cert, nil
}

// Roots returns the certificates; the caller does not change them.
func (b Bundle) Roots() []*x509.Certificate { return b.roots }

// Empty reports whether nobody is trusted.
func (b Bundle) Empty() bool { return len(b.roots) == 0 }

// Has reports whether root is in the bundle.
func (b Bundle) Has(root *x509.Certificate) bool {
	for _, r := range b.roots {
		if r.Equal(root) {
			return true
		}
	}
	return false
}

// Includes reports whether every root of other is in b.
func (b Bundle) Includes(other Bundle) bool {
	for _, root := range other.roots {
		if !b.Has(root) {
			return false
		}
	}
	return true
}

// Equal reports whether both trust the same roots, in whatever order.
func (b Bundle) Equal(other Bundle) bool { return b.Includes(other) && other.Includes(b) }

// Pool returns the roots for verifying a chain.
func (b Bundle) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	for _, root := range b.roots {
		pool.AddCert(root)
	}
	return pool
}

// PEM returns the bundle as a file, without comments or headers.
func (b Bundle) PEM() []byte {
	var out bytes.Buffer
	for _, root := range b.roots {
		out.Write(EncodeCertificate(root))
	}
	return out.Bytes()
}

// EncodeCertificate returns one PEM block with its final newline.
func EncodeCertificate(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: cert.Raw})
}

// Fingerprint names a certificate in logs: the start of its SHA-256.
func Fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return fmt.Sprintf("%x", sum[:8])
}
