// Package mesh is the second stage of pilot: Kubernetes and Istio objects become one immutable model of the mesh.
//
//	source ──Inputs──▶ mesh.Build ──*Snapshot──▶ scope.For ──Scope──▶ envoy.Builder ──*resource.Set──▶ server
//
// Build is pure: it talks to nothing, and what is wrong with a user's object comes back as data, in Snapshot.Problems.
// The model speaks of hosts, ports, endpoints and rules; it knows nothing of Envoy, and what comes after it knows nothing
// of Kubernetes. Every part carries a key, the hash of its content, so that later stages compare parts without reading
// them, and parts that did not change are the same pointers as in the snapshot before.
package mesh

import (
	meshv1alpha1 "istio.io/api/mesh/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// Inputs is everything Build reads. The objects are those of informer caches and are never modified.
type Inputs struct {
	Services       []*corev1.Service
	EndpointSlices []*discoveryv1.EndpointSlice
	Pods           []*corev1.Pod
	Namespaces     []*corev1.Namespace
	Config         []istioconfig.Object
	Secrets        []*corev1.Secret // of the namespaces that gateways run in
	MeshConfig     *meshv1alpha1.MeshConfig
	MeshNamespace  string // the root namespace: its PeerAuthentication without selector is the mesh's
}

// Problem is what keeps an object of a user's from having the effect it asks for.
type Problem struct {
	Object resource.Object
	Field  string
	Reason string
}

// Snapshot is the model of the mesh at one moment. It is immutable.
type Snapshot struct {
	Settings        *Settings
	Services        []*Service           // by host
	VirtualServices []*VirtualService    // oldest first
	Rules           []*DestinationRule   // oldest first
	Gateways        []*Gateway           // oldest first
	Credentials     map[Name]*Credential // by namespace and name of their Secret
	Problems        []Problem            // sorted

	index index
	memo  *memo
}

// Name is a namespace and a name in it.
type Name struct{ Namespace, Name string }

func (n Name) String() string { return n.Namespace + "/" + n.Name }
