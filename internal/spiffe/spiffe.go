// Package spiffe reads and writes the identities of the mesh: spiffe://<trust domain>/ns/<namespace>/sa/<account>, a
// SPIFFE ID whose path names one Kubernetes service account. It says what an identity is; the caller has verified the chain
// of the certificate that carries it.
package spiffe

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// ID is the identity of a service account in a trust domain. Only New and Parse make valid ones; they compare with ==.
type ID struct {
	TrustDomain    string
	Namespace      string
	ServiceAccount string
}

// New returns the identity of a service account, or what is wrong with one of the three names.
func New(trustDomain, namespace, serviceAccount string) (ID, error) {
	td, err := spiffeid.TrustDomainFromString(trustDomain)
	if err != nil || td.Name() != trustDomain {
		return ID{}, fmt.Errorf("trust domain %q: %w", trustDomain, errors.Join(errNotCanonical, err))
	}
	if _, err := spiffeid.FromSegments(td, "ns", namespace, "sa", serviceAccount); err != nil {
		return ID{}, fmt.Errorf("namespace %q, service account %q: %w", namespace, serviceAccount, err)
	}
	return ID{TrustDomain: trustDomain, Namespace: namespace, ServiceAccount: serviceAccount}, nil
}

var errNotCanonical = errors.New("not a plain lower-case name")

// Parse is the inverse of String; there is exactly one spelling of an identity.
func Parse(s string) (ID, error) {
	id, err := spiffeid.FromString(s)
	if err != nil {
		return ID{}, fmt.Errorf("parse identity %q: %w", s, err)
	}
	segments := strings.Split(id.Path(), "/")
	if len(segments) != 5 || segments[1] != "ns" || segments[3] != "sa" {
		return ID{}, fmt.Errorf("parse identity %q: path is not /ns/<namespace>/sa/<service account>", s)
	}
	return ID{TrustDomain: id.TrustDomain().Name(), Namespace: segments[2], ServiceAccount: segments[4]}, nil
}

// FromCertificate returns the identity in a leaf certificate. A certificate with more than one URI name is refused: two
// readers that pick different ones would disagree about who is calling.
func FromCertificate(cert *x509.Certificate) (ID, error) {
	if cert.IsCA {
		return ID{}, errors.New("read identity: the certificate is a CA")
	}
	if n := len(cert.URIs); n != 1 {
		return ID{}, fmt.Errorf("read identity: the certificate has %d URI names, want 1", n)
	}
	return Parse(cert.URIs[0].String())
}

// String returns the identity as it stands in certificates.
func (id ID) String() string {
	return "spiffe://" + id.TrustDomain + "/ns/" + id.Namespace + "/sa/" + id.ServiceAccount
}

// URI returns the identity as a URI name of a certificate.
func (id ID) URI() *url.URL {
	return &url.URL{Scheme: "spiffe", Host: id.TrustDomain, Path: "/ns/" + id.Namespace + "/sa/" + id.ServiceAccount}
}
