package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"sync"
	"time"

	"github.com/mesh-operator/mesh-operator/internal/spiffe"
)

// serving is citadel's own certificate, issued by itself like any other. It is looked at when somebody connects, and made
// anew past half of its life or when the root has changed: no timer, and no restart when the root rotates.
type serving struct {
	authority func() (*authority, error)
	issuer    issuer
	names     certNames
	now       func() time.Time

	mu          sync.Mutex
	signer      *authority
	certificate *tls.Certificate
}

// servingNames are citadel's own identity and the name it is reached by.
func servingNames(trustDomain, namespace, serverName string) (certNames, error) {
	id, err := spiffe.New(trustDomain, namespace, "istio-citadel-service-account")
	if err != nil {
		return certNames{}, fmt.Errorf("own identity: %w", err)
	}
	return certNames{id: id, dns: serviceNames(serverName)}, nil
}

// tlsConfig asks callers for a certificate and verifies it against the current bundle; a caller with a token needs none.
// Sessions are not resumed: a resumed one would keep the verdict of an older bundle.
func (s *serving) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			signer, certificate, err := s.current()
			if err != nil {
				return nil, err
			}
			return &tls.Config{
				MinVersion:             tls.VersionTLS12,
				NextProtos:             []string{"h2"},
				Certificates:           []tls.Certificate{*certificate},
				ClientAuth:             tls.VerifyClientCertIfGiven,
				ClientCAs:              signer.bundle.Pool(),
				SessionTicketsDisabled: true,
			}, nil
		},
	}
}

func (s *serving) current() (*authority, *tls.Certificate, error) {
	signer, err := s.authority()
	if err != nil {
		return nil, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.signer != signer || s.pastHalfLife() {
		certificate, err := s.issue(signer)
		if err != nil {
			return nil, nil, err
		}
		s.signer, s.certificate = signer, certificate
	}
	return signer, s.certificate, nil
}

func (s *serving) pastHalfLife() bool {
	leaf := s.certificate.Leaf
	return s.now().After(leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 2))
}

func (s *serving) issue(signer *authority) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make serving key: %w", err)
	}
	leaf, err := s.issuer.Issue(signer, s.names, key.Public(), 0)
	if err != nil {
		return nil, fmt.Errorf("issue serving certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, nil
}
