package certclient

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"github.com/mesh-operator/mesh-operator/internal/spiffe"
	"github.com/mesh-operator/mesh-operator/internal/trust"
)

const (
	callTimeout    = 15 * time.Second
	maxResponse    = 1 << 20 // bytes; a chain has a few kilobytes
	maxToken       = 64 << 10
	requestPEMType = "CERTIFICATE REQUEST"
)

// obtain makes a key, requests a certificate for it from the CA and verifies the certificate.
func (c *Client) obtain(ctx context.Context, bundle trust.Bundle) (*tls.Certificate, error) {
	token, err := readToken(c.o.TokenFile)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	request, err := newRequest(key)
	if err != nil {
		return nil, err
	}
	chain, err := c.call(ctx, bundle, token, request)
	if err != nil {
		return nil, err
	}
	return assemble(chain, key, bundle)
}

func readToken(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read token: %w", err)
	}
	token := bytes.TrimSpace(text)
	if len(token) == 0 || len(token) > maxToken {
		return "", fmt.Errorf("read token: %s has %d bytes", file, len(token))
	}
	return string(token), nil
}

// newRequest returns a CSR without names: the CA takes the identity from the token.
func newRequest(key *ecdsa.PrivateKey) (string, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return "", fmt.Errorf("make CSR: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: requestPEMType, Bytes: der})), nil
}

// call opens a connection for each request: there is one request in hours, and a new connection is verified against the current
// bundle.
func (c *Client) call(ctx context.Context, bundle trust.Bundle, token, csr string) ([]string, error) {
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
			MinVersion: tls.VersionTLS12,
			RootCAs:    bundle.Pool(),
			ServerName: c.o.ServerName,
		})),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxResponse)),
		grpc.WithDisableServiceConfig(),
		grpc.WithNoProxy(),
	}
	address := c.o.Address
	if c.o.Dial != nil {
		options = append(options, grpc.WithContextDialer(c.o.Dial))
		address = "passthrough:///" + address
	}
	conn, err := grpc.NewClient(address, options...)
	if err != nil {
		return nil, fmt.Errorf("dial CA: %w", err)
	}
	defer conn.Close()

	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	response := &message{}
	if err := conn.Invoke(ctx, createCertificate, &message{encodeRequest(csr, c.o.TTL)}, response,
		grpc.WaitForReady(false), grpc.ForceCodecV2(codec{})); err != nil {
		return nil, fmt.Errorf("create certificate: %w", err)
	}
	return decodeResponse(response.data)
}

// assemble verifies a chain (leaf first, root last) and returns it with its key, without the root: peers have their own roots.
func assemble(chain []string, key *ecdsa.PrivateKey, bundle trust.Bundle) (*tls.Certificate, error) {
	var out tls.Certificate
	for i, text := range chain {
		block, rest := pem.Decode([]byte(text))
		if block == nil || len(bytes.TrimSpace(rest)) != 0 {
			return nil, fmt.Errorf("read chain: element %d is not one PEM block", i)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read chain: element %d: %w", i, err)
		}
		if i == 0 {
			out.Leaf = cert
		} else if isRoot(cert) {
			continue
		}
		out.Certificate = append(out.Certificate, cert.Raw)
	}
	if out.Leaf == nil {
		return nil, errors.New("read chain: empty")
	}
	if !key.PublicKey.Equal(out.Leaf.PublicKey) {
		return nil, errors.New("check certificate: it is for another key")
	}
	if _, err := spiffe.FromCertificate(out.Leaf); err != nil {
		return nil, fmt.Errorf("check certificate: %w", err)
	}
	if err := verifyChain(&out, bundle); err != nil {
		return nil, fmt.Errorf("check certificate: %w", err)
	}
	out.PrivateKey = key
	return &out, nil
}

func isRoot(cert *x509.Certificate) bool { return cert.IsCA && cert.CheckSignatureFrom(cert) == nil }

// verifyChain verifies the certificate like peers that have the bundle, as a client's and as a server's.
func verifyChain(certificate *tls.Certificate, bundle trust.Bundle) error {
	if certificate == nil {
		return errors.New("no certificate")
	}
	intermediates := x509.NewCertPool()
	for _, der := range certificate.Certificate[1:] {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		intermediates.AddCert(cert)
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth} {
		if _, err := certificate.Leaf.Verify(x509.VerifyOptions{
			Roots:         bundle.Pool(),
			Intermediates: intermediates,
			KeyUsages:     []x509.ExtKeyUsage{usage},
		}); err != nil {
			return err
		}
	}
	return nil
}
