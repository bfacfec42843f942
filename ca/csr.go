package ca

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/grpc/codes"
)

const (
	maxCSRBytes    = 16 << 10 // an RSA-4096 request with a page of names is below 4 KiB
	minRSABits     = 2048
	maxRSABits     = 4096 // checking a signature costs the square of it
	minRSAExponent = 65537
)

// signatureAlgorithms are those that prove possession of the key; the ones with SHA-1 and MD5 don't.
var signatureAlgorithms = []x509.SignatureAlgorithm{
	x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512,
	x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
	x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
}

// publicKey takes the one thing out of a CSR that is taken out of it.
func publicKey(csr string) (crypto.PublicKey, error) {
	request, err := parseRequest(csr)
	if err != nil {
		return nil, refused(codes.InvalidArgument, "csr_malformed", err)
	}
	if err := checkKey(request.PublicKey); err != nil {
		return nil, refused(codes.InvalidArgument, "csr_key", err)
	}
	if !slices.Contains(signatureAlgorithms, request.SignatureAlgorithm) {
		return nil, refused(codes.InvalidArgument, "csr_signature", fmt.Errorf("algorithm %s", request.SignatureAlgorithm))
	}
	if err := request.CheckSignature(); err != nil {
		return nil, refused(codes.InvalidArgument, "csr_signature", err)
	}
	return request.PublicKey, nil
}

func parseRequest(csr string) (*x509.CertificateRequest, error) {
	if len(csr) > maxCSRBytes {
		return nil, fmt.Errorf("%d bytes", len(csr))
	}
	block, rest := pem.Decode([]byte(csr))
	if block == nil || block.Type != "CERTIFICATE REQUEST" || len(bytes.TrimSpace(rest)) != 0 {
		return nil, errors.New("not one PEM block CERTIFICATE REQUEST")
	}
	return x509.ParseCertificateRequest(block.Bytes)
}

// checkKey admits the keys that every peer of the mesh can verify and that nobody can break.
func checkKey(key crypto.PublicKey) error {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() && key.Curve != elliptic.P384() {
			return fmt.Errorf("curve %s, want P-256 or P-384", key.Curve.Params().Name)
		}
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return fmt.Errorf("RSA with %d bits, want %d to %d", bits, minRSABits, maxRSABits)
		}
		if key.E < minRSAExponent {
			return fmt.Errorf("RSA exponent %d, want at least %d", key.E, minRSAExponent)
		}
	default:
		return fmt.Errorf("key type %T, want ECDSA or RSA", key)
	}
	return nil
}
