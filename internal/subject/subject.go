// Package subject spells the facts of a workload in the subject of its certificate, where the proxies of its peers read
// them for telemetry (%DOWNSTREAM_PEER_SUBJECT%). The CA fills them from the authenticated pod; no policy ever reads them,
// because the labels among them are what the tenant wrote.
package subject

import (
	"crypto/sha256"
	"crypto/x509/pkix"
	"fmt"
	"strings"
)

// longest is RFC 5280's upper bound for most attributes; verifiers may refuse a longer one.
const longest = 64

// Facts are what telemetry wants to know about a peer. One attribute holds one fact, so that none can imitate another.
type Facts struct {
	Workload          string // CN
	CanonicalService  string // O
	Namespace         string // OU
	CanonicalRevision string // L
}

// Name returns the facts as a certificate's subject; an empty fact has no attribute.
func (f Facts) Name() pkix.Name {
	return pkix.Name{
		CommonName:         fit(f.Workload),
		Organization:       list(f.CanonicalService),
		OrganizationalUnit: list(f.Namespace),
		Locality:           list(f.CanonicalRevision),
	}
}

func list(fact string) []string {
	if fact == "" {
		return nil
	}
	return []string{fit(fact)}
}

// fit replaces what Kubernetes names and label values never contain (an owner reference may hold anything, and the proxies
// print subjects as text), and cuts what is too long, with a hash that keeps two long names apart.
func fit(fact string) string {
	clean := strings.Map(func(r rune) rune {
		if strings.ContainsRune("-._", r) || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return '_'
	}, fact)
	if len(clean) <= longest {
		return clean
	}
	hash := fmt.Sprintf("-%x", sha256.Sum256([]byte(fact)))[:9]
	return clean[:longest-len(hash)] + hash
}
