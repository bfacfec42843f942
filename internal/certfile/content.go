package certfile

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// CheckPair says why Envoy could not use a certificate chain with its key, both in PEM. It never repeats what is in them.
func CheckPair(certificate, key []byte) error {
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return fmt.Errorf("are not a key pair: %w", err)
	}
	if err := checkChain(certificate); err != nil {
		return fmt.Errorf("have a chain that %w", err)
	}
	switch key := pair.PrivateKey.(type) {
	case *rsa.PrivateKey:
		if key.N.BitLen() < 2048 {
			return fmt.Errorf("have an RSA key of %d bits, Envoy wants 2048", key.N.BitLen())
		}
	case *ecdsa.PrivateKey:
		if key.Curve.Params().BitSize < 256 {
			return errors.New("have an ECDSA key of fewer than 256 bits")
		}
	default:
		return errors.New("have a key that is neither RSA nor ECDSA")
	}
	return nil
}

// checkChain checks every certificate of a chain: tls.X509KeyPair parses the first one only, Envoy all. Both pass over blocks
// of other types, such as a key in the same file.
func checkChain(text []byte) error {
	return checkBlocks(text, "certificate", func(block *pem.Block) error {
		if block.Type != "CERTIFICATE" {
			return nil
		}
		return parseCertificate(block)
	})
}

// CheckAuthorities says why a text is not a list of PEM certificates, and which of them is to blame.
func CheckAuthorities(text []byte) error {
	return checkBlocks(text, "certificate", parseCertificate)
}

func parseCertificate(block *pem.Block) error {
	if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		return fmt.Errorf("%s: %w", describe(block.Bytes), err)
	}
	return nil
}

// CheckRevoked says why a text is not a list of PEM lists of revoked certificates.
func CheckRevoked(text []byte) error {
	return checkBlocks(text, "revocation list", func(block *pem.Block) error {
		_, err := x509.ParseRevocationList(block.Bytes)
		return err
	})
}

func checkBlocks(text []byte, kind string, parse func(*pem.Block) error) error {
	for number := 1; ; number++ {
		block, rest := pem.Decode(text)
		if block == nil {
			rest = nil
		}
		if skipped(text[:len(text)-len(rest)], block) {
			return fmt.Errorf("is not a list of PEM %ss: number %d is cut off or not base64", kind, number)
		}
		if block == nil && number == 1 {
			return fmt.Errorf("has no PEM %s", kind)
		}
		if block == nil {
			return nil
		}
		if err := parse(block); err != nil {
			return fmt.Errorf("is not a list of PEM %ss: number %d: %w", kind, number, err)
		}
		text = rest
	}
}

// skipped reports whether the decoder has passed over a block that it cannot read, on its way to the next one or to the
// end. Envoy does not pass over it.
func skipped(read []byte, block *pem.Block) bool {
	decoded := 0
	if block != nil {
		decoded = 1
	}
	begin := []byte("-----BEGIN ")
	begun := bytes.Count(read, append([]byte("\n"), begin...))
	if bytes.HasPrefix(read, begin) {
		begun++
	}
	return begun > decoded
}

// describe names a certificate that x509 refuses as far as it can be read, so that its owner finds it in a long list.
func describe(der []byte) string {
	var outline struct {
		Body struct {
			Version           int `asn1:"optional,explicit,default:0,tag:0"`
			Serial            asn1.RawValue
			Algorithm, Issuer asn1.RawValue
			Validity          struct{ From, To time.Time }
			Subject           pkix.RDNSequence
		}
	}
	if _, err := asn1.Unmarshal(der, &outline); err != nil {
		return "of unknown subject"
	}
	var subject pkix.Name
	subject.FillFromRDNSequence(&outline.Body.Subject)
	return fmt.Sprintf("%.200q, valid until %s", subject.String(), outline.Body.Validity.To.UTC().Format(time.DateOnly))
}
