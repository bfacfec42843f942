package certfile

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// CheckPair says why Envoy could not use a certificate chain with its key, both in PEM. It never repeats what is in them.
func CheckPair(certificate, key []byte) error {
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return fmt.Errorf("are not a key pair: %w", err)
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

// CheckAuthorities says why a text is not a list of PEM certificates.
func CheckAuthorities(text []byte) error {
	return checkBlocks(text, "certificate", func(der []byte) error { _, err := x509.ParseCertificate(der); return err })
}

// CheckRevoked says why a text is not a list of PEM lists of revoked certificates.
func CheckRevoked(text []byte) error {
	return checkBlocks(text, "revocation list", func(der []byte) error { _, err := x509.ParseRevocationList(der); return err })
}

func checkBlocks(text []byte, kind string, parse func([]byte) error) error {
	for count := 0; ; count++ {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			if count == 0 {
				return fmt.Errorf("has no PEM %s", kind)
			}
			return nil
		}
		if parse(block.Bytes) != nil {
			return fmt.Errorf("is not a list of PEM %ss", kind)
		}
	}
}
