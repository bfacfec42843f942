package certclient

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
)

var errNoCertificate = errors.New("no certificate yet")

// ServerTLS serves the current certificate and requests no client certificate: for webhooks, which the API server calls.
func (c *Client) ServerTLS(nextProtos ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: nextProtos,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.current()
		},
	}
}

// MutualServerTLS serves the current certificate to clients that present one of the current bundle. Tickets are off: a
// resumed session would skip a bundle that has changed meanwhile.
func (c *Client) MutualServerTLS(nextProtos ...string) *tls.Config {
	if len(nextProtos) == 0 {
		nextProtos = []string{"h2"}
	}
	config := c.ServerTLS(nextProtos...)
	config.ClientAuth = tls.RequireAndVerifyClientCert
	config.ClientCAs = x509.NewCertPool() // empty: GetConfigForClient sets the current bundle
	config.SessionTicketsDisabled = true
	base := config.Clone()
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		fresh := base.Clone()
		fresh.ClientCAs = c.Roots().Pool()
		return fresh, nil
	}
	return config
}

// ClientTLS presents the current certificate and verifies that the server's has serverName and a root of the current bundle.
// Each handshake reads both again, so the configuration may be used for a long time.
func (c *Client) ClientTLS(serverName string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		ServerName: serverName,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return c.current()
		},
		InsecureSkipVerify: true, //nolint:gosec // RootCAs cannot change with the bundle; VerifyConnection verifies instead
		VerifyConnection: func(state tls.ConnectionState) error {
			return c.verifyServer(state, serverName)
		},
	}
}

func (c *Client) verifyServer(state tls.ConnectionState, serverName string) error {
	if len(state.PeerCertificates) == 0 || serverName == "" {
		return errors.New("verify server: no certificate or no name to verify")
	}
	intermediates := x509.NewCertPool()
	for _, cert := range state.PeerCertificates[1:] {
		intermediates.AddCert(cert)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{
		DNSName:       serverName,
		Roots:         c.Roots().Pool(),
		Intermediates: intermediates,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return fmt.Errorf("verify server: %w", err)
	}
	return nil
}

func (c *Client) current() (*tls.Certificate, error) {
	if certificate := c.Certificate(); certificate != nil {
		return certificate, nil
	}
	return nil, errNoCertificate
}

// PEM returns a certificate in Envoy's form: the chain without its root, and the key.
func PEM(certificate *tls.Certificate) (chain, key []byte, err error) {
	for _, der := range certificate.Certificate {
		chain = slices.Concat(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	der, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		return nil, nil, fmt.Errorf("encode key: %w", err)
	}
	return chain, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
