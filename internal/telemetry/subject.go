package telemetry

import (
	"crypto/x509/pkix"
	"strings"

	"github.com/mesh-operator/mesh-operator/internal/spiffe"
)

// Subject returns the peer as the subject of its certificate: CN is the workload, OU the namespace, O the service, L the
// revision. An attribute holds one fact, so that none can imitate another. An empty fact has no attribute. No policy reads
// the subject, because the tenant writes the labels that two of the facts come from.
func (p Peer) Subject() pkix.Name {
	p = p.Fit()
	return pkix.Name{
		CommonName:         p.Workload,
		Organization:       list(p.Service),
		OrganizationalUnit: list(p.Namespace),
		Locality:           list(p.Revision),
	}
}

func list(fact string) []string {
	if fact == "" {
		return nil
	}
	return []string{fact}
}

// ParseSubject reads a subject in the text form of RFC 2253, as Envoy prints it. It returns false for a subject that the
// mesh's CA would not have written, such as that of another signer.
func ParseSubject(text string) (Peer, bool) {
	var p Peer
	facts := map[string]*string{"CN": &p.Workload, "OU": &p.Namespace, "O": &p.Service, "L": &p.Revision}
	for attribute := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(attribute, "=")
		fact := facts[name]
		if fact == nil || value == "" || *fact != "" {
			return Peer{}, false
		}
		*fact = value
	}
	complete := p.Workload != "" && p.Namespace != "" && p.Service != "" && p.Revision != ""
	return p, complete && p == p.Fit()
}

// FromCertificate returns the client of a request: its workload from the subject and the URI names of its certificate, and
// its principal. The namespace is proven by the URI name, so a subject that names another one is not of the mesh's CA. The
// principal is empty without a certificate.
func FromCertificate(subject, uris string) (p Peer, principal string) {
	if uris == none || uris == "" {
		return Peer{}, ""
	}
	id, err := spiffe.Parse(uris)
	if err != nil {
		return Peer{}, uris
	}
	p, ok := ParseSubject(subject)
	if !ok || p.Namespace != id.Namespace {
		p = Peer{Namespace: id.Namespace}
	}
	return p, uris
}

// none is what Envoy writes for a value that a request does not have.
const none = "-"
