package telemetry

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// Peer is what the metrics show of a workload at one end of a request. An empty fact is unknown.
type Peer struct {
	Workload  string // of the Deployment or what else owns the pod
	Namespace string
	Service   string // canonical service: a label that the tenant writes
	Revision  string // canonical revision: a label that the tenant writes
}

// Cluster is the name of the only Kubernetes cluster of a mesh, as Kiali expects it.
const Cluster = "Kubernetes"

const separator = ";"

// Pack returns "workload;namespace;service;revision;cluster", the value of the metadata istio:workload of an endpoint
// (istio/istio pilot/pkg/networking/util, BuildLbEndpointMetadata).
func (p Peer) Pack() string {
	p = p.Fit()
	return strings.Join([]string{p.Workload, p.Namespace, p.Service, p.Revision, Cluster}, separator)
}

// Unpack is the inverse of Pack. It returns false for any other text.
func Unpack(text string) (Peer, bool) {
	parts := strings.Split(text, separator)
	if len(parts) != 5 || parts[4] != Cluster {
		return Peer{}, false
	}
	p := Peer{Workload: parts[0], Namespace: parts[1], Service: parts[2], Revision: parts[3]}
	return p, p == p.Fit()
}

// Fit returns the peer with its facts as the metrics show them, see fit. Both ends of a request must show the same name.
func (p Peer) Fit() Peer {
	return Peer{Workload: fit(p.Workload), Namespace: fit(p.Namespace), Service: fit(p.Service), Revision: fit(p.Revision)}
}

// longest is the limit of RFC 5280 for most attributes of a subject, in characters.
const longest = 64

// fit replaces characters that names and label values of Kubernetes do not contain (the name in an owner reference may
// contain any), and cuts a long name. A hash keeps two long names apart.
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
