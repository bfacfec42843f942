// Package names holds the names of objects, keys, annotations and ports that more than one role reads or writes: roles meet
// through Kubernetes objects, and these are their addresses. Labels and annotations of ownership are in internal/owner.
package names

const (
	// RootSecret, in the mesh's namespace, holds the key and certificate of the root of trust. Citadel creates it; the
	// operator deletes it, or leaves it behind, when the mesh is removed.
	RootSecret = "istio-ca-secret"
	// RootsConfigMap, in every namespace, holds the roots of trust. Citadel writes it; pods mount it; the operator copies it
	// into every caBundle.
	RootsConfigMap = "istio-ca-root-cert"
	// RootsKey is the key of RootsConfigMap with the PEM list of certificates.
	RootsKey = "root-cert.pem"
	// SidecarStatusAnnotation is on every pod that got a sidecar.
	SidecarStatusAnnotation = "sidecar.istio.io/status"
	// MonitoringPort serves /ready, /live, /version and /metrics of every role.
	MonitoringPort = "15014"
)
