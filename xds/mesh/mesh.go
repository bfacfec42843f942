// Package mesh is the second stage of pilot: Kubernetes and Istio objects become one immutable model of the mesh.
//
//	source ──Inputs──▶ mesh.Build ──*Snapshot──▶ scope.For ──Scope──▶ envoy.Builder ──*resource.Set──▶ server
//
// Build is pure: it talks to nothing, and what is wrong with a user's object comes back as data, in Snapshot.Problems.
// The model speaks of hosts, ports, endpoints and rules; it knows nothing of Envoy, and what comes after it knows nothing
// of Kubernetes. Every part carries a key, the hash of its content, so that later stages compare parts without reading
// them, and parts that did not change are the same pointers as in the snapshot before.
//
// Build starts from the snapshot before and looks at what differs between the inputs of then and now; the result is that
// of building from nothing. One object's change touches the services and rules that are made from it.
package mesh

import (
	"fmt"
	"maps"
	"slices"

	meshv1alpha1 "istio.io/api/mesh/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

// Inputs is everything Build reads. The objects are those of informer caches and are never modified; an object that
// changes is another pointer. Tables are by namespace/name, that of Config by Kind/namespace/name.
type Inputs struct {
	Services       table.Table[*corev1.Service]
	EndpointSlices table.Table[*discoveryv1.EndpointSlice]
	Pods           table.Table[*corev1.Pod]
	Config         table.Table[*istioconfig.Object]
	Secrets        table.Table[*corev1.Secret] // of the mesh's namespace, for the gateways in it
	MeshConfig     *meshv1alpha1.MeshConfig
	MTLS           MTLSMode // what ports admit where no PeerAuthentication sets a mode; empty: unknown, so Strict
	// TrustClientTraces lets clients of gateways decide about sampling; see Tracing.TrustClients.
	TrustClientTraces bool
	MeshNamespace     string // the root namespace: its PeerAuthentication without selector is the mesh's
}

// Objects makes a table of Kubernetes objects for Inputs.
func Objects[T interface {
	comparable
	metav1.Object
}](objects ...T) table.Table[T] {
	entries := make(map[string]T, len(objects))
	for _, o := range objects {
		entries[NameOf(o).String()] = o
	}
	return table.Of(entries)
}

// Config makes a table of configuration objects for Inputs.
func Config(objects ...istioconfig.Object) table.Table[*istioconfig.Object] {
	entries := make(map[string]*istioconfig.Object, len(objects))
	for _, o := range objects {
		entries[ConfigName(o)] = &o
	}
	return table.Of(entries)
}

// Add puts an object into a table of Inputs, in the place of one of its name.
func Add[T interface {
	comparable
	metav1.Object
}](to *table.Table[T], objects ...T) {
	for _, o := range objects {
		*to = to.With(NameOf(o).String(), o)
	}
}

// AddConfig is Add for Inputs.Config.
func AddConfig(to *table.Table[*istioconfig.Object], objects ...istioconfig.Object) {
	for _, o := range objects {
		*to = to.With(ConfigName(o), &o)
	}
}

// ConfigName is the key of an object in Inputs.Config.
func ConfigName(o istioconfig.Object) string { return string(objectOf(o)) }

// Problem is what keeps an object of a user's from having the effect it asks for.
type Problem struct {
	Object resource.Object
	Field  string
	Reason string
	Stack  string // of a panic; empty: the object's author can do something about it
}

// maxProblems is how many problems of one object are reported.
const maxProblems = 20

// LimitProblems keeps the first problems of each object and says how many more it has: the author of one object with thousands of
// errors must not fill the log. Panics are kept.
func LimitProblems(list []Problem) []Problem {
	var few []Problem
	seen := map[resource.Object]int{}
	for _, p := range list {
		if p.Stack == "" {
			seen[p.Object]++
		}
		if p.Stack != "" || seen[p.Object] <= maxProblems {
			few = append(few, p)
		}
	}
	for _, o := range slices.Sorted(maps.Keys(seen)) {
		if more := seen[o] - maxProblems; more > 0 {
			few = append(few, Problem{Object: o, Reason: fmt.Sprintf("has %d more problems", more)})
		}
	}
	return few
}

// Snapshot is the model of the mesh at one generation. It is immutable.
type Snapshot struct {
	Settings        *Settings
	Services        table.Table[*Service]               // of Kubernetes, by host
	Entries         table.Table[table.Groups[*Service]] // of ServiceEntries, by host, by namespace, oldest first
	VirtualServices table.Table[*VirtualService]        // oldest first
	Rules           table.Table[*DestinationRule]       // oldest first
	Gateways        table.Table[*Gateway]               // oldest first
	Credentials     table.Table[*Credential]            // by namespace/name of their Secret
	Problems        []Problem                           // sorted
	Lookup          Lookup

	in    Inputs
	index index
}

// Name is a namespace and a name in it.
type Name struct{ Namespace, Name string }

func (n Name) String() string { return n.Namespace + "/" + n.Name }

// NameOf is the name of a Kubernetes object.
func NameOf(o metav1.Object) Name { return Name{o.GetNamespace(), o.GetName()} }
