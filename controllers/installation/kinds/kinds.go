// Package kinds is the table of Kubernetes kinds that the operator handles: how it watches them, in which order it applies
// and removes them, and what they mean for the mesh's namespace. The watches, the apply order, the removal and the
// operator's ClusterRoles (config/rbac) derive from it: a chart may use every kind of the table and no other.
package kinds

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/mesh-operator/mesh-operator/internal/istiocrd"
)

// API groups of kinds that the operator names in several places.
const (
	RBACGroup      = "rbac.authorization.k8s.io"
	AdmissionGroup = "admissionregistration.k8s.io"
	CRDGroup       = "apiextensions.k8s.io"
	SecurityGroup  = "security.istio.io"
)

// Watch says what the operator keeps in memory of the owned objects of a kind.
type Watch int

const (
	// NotWatched kinds are listed when the mesh is removed, and never watched.
	NotWatched Watch = iota
	// Metadata is enough to see that somebody changed or deleted an object.
	Metadata
	// Full objects: their status says how the mesh does and where users reach it.
	Full
)

// Phase says when objects of a kind are applied, whatever component they belong to.
type Phase int

const (
	// WithComponent applies an object in the stage of its component.
	WithComponent Phase = iota
	// First applies permissions and credentials before the first component.
	First
	// Last applies webhooks after the last component: they refuse everything until their server answers.
	Last
)

// Removal is the stage of a removal that deletes the owned objects of a kind.
type Removal int

const (
	// NotRemoved kinds are never applied, or their removal is a step of its own (the namespace, Istio's definitions).
	NotRemoved Removal = iota
	// WithWebhooks is the first stage.
	WithWebhooks
	// WithWorkloads deletes what runs, and what only matters while something runs.
	WithWorkloads
	// WithData deletes volumes, after the pods that write to them and only if spec.uninstall.data is Delete.
	WithData
	// WithAccess deletes configuration and permissions in the mesh's namespace, after the workloads that use them.
	WithAccess
	// WithClusterAccess deletes permissions and policies at cluster scope.
	WithClusterAccess
)

// Kind is one row.
type Kind struct {
	schema.GroupVersionKind
	Resource   string // plural, as in a URL and in RBAC
	Namespaced bool
	Applied    bool // charts may contain it; the operator may create, change and delete it
	Workload   bool // it runs pods; a stage waits until its status is current
	Watch      Watch
	Phase      Phase
	Removal    Removal
	// KeepsNamespace says that an object of this kind that is not ours keeps the mesh's namespace from being deleted.
	KeepsNamespace bool
}

// table lists the kinds in the order in which objects of one stage are applied; removal goes backwards. Kinds that others
// need come first.
var table = []Kind{
	{GroupVersionKind: gvk("", "v1", "Namespace"), Resource: "namespaces", Watch: Metadata},
	{GroupVersionKind: gvk(CRDGroup, "v1", "CustomResourceDefinition"), Resource: "customresourcedefinitions", Watch: Metadata},
	{GroupVersionKind: gvk("", "v1", "ServiceAccount"), Resource: "serviceaccounts", Namespaced: true, Applied: true, Watch: Metadata, Phase: First, Removal: WithAccess, KeepsNamespace: true},
	{GroupVersionKind: gvk(RBACGroup, "v1", "ClusterRole"), Resource: "clusterroles", Applied: true, Watch: Metadata, Phase: First, Removal: WithClusterAccess},
	{GroupVersionKind: gvk(RBACGroup, "v1", "Role"), Resource: "roles", Namespaced: true, Applied: true, Watch: Metadata, Phase: First, Removal: WithAccess, KeepsNamespace: true},
	{GroupVersionKind: gvk(RBACGroup, "v1", "ClusterRoleBinding"), Resource: "clusterrolebindings", Applied: true, Watch: Metadata, Phase: First, Removal: WithClusterAccess},
	{GroupVersionKind: gvk(RBACGroup, "v1", "RoleBinding"), Resource: "rolebindings", Namespaced: true, Applied: true, Watch: Metadata, Phase: First, Removal: WithAccess, KeepsNamespace: true},
	{GroupVersionKind: gvk("", "v1", "ConfigMap"), Resource: "configmaps", Namespaced: true, Applied: true, Watch: Metadata, Removal: WithAccess, KeepsNamespace: true},
	{GroupVersionKind: gvk("", "v1", "Secret"), Resource: "secrets", Namespaced: true, Applied: true, Watch: Metadata, Phase: First, Removal: WithAccess, KeepsNamespace: true},
	{GroupVersionKind: gvk(SecurityGroup, "v1", "PeerAuthentication"), Resource: "peerauthentications", Namespaced: true, Applied: true, Watch: Metadata, Removal: WithWorkloads, KeepsNamespace: true},
	{GroupVersionKind: gvk(AdmissionGroup, "v1", "ValidatingAdmissionPolicy"), Resource: "validatingadmissionpolicies", Applied: true, Watch: Metadata, Removal: WithClusterAccess},
	{GroupVersionKind: gvk(AdmissionGroup, "v1", "ValidatingAdmissionPolicyBinding"), Resource: "validatingadmissionpolicybindings", Applied: true, Watch: Metadata, Removal: WithClusterAccess},
	{GroupVersionKind: gvk("", "v1", "Service"), Resource: "services", Namespaced: true, Applied: true, Watch: Full, Removal: WithWorkloads, KeepsNamespace: true},
	{GroupVersionKind: gvk("", "v1", "PersistentVolumeClaim"), Resource: "persistentvolumeclaims", Namespaced: true, Applied: true, Watch: Metadata, Removal: WithData, KeepsNamespace: true},
	{GroupVersionKind: gvk("apps", "v1", "Deployment"), Resource: "deployments", Namespaced: true, Applied: true, Workload: true, Watch: Full, Removal: WithWorkloads, KeepsNamespace: true},
	{GroupVersionKind: gvk("apps", "v1", "StatefulSet"), Resource: "statefulsets", Namespaced: true, Applied: true, Workload: true, Watch: Full, Removal: WithWorkloads, KeepsNamespace: true},
	{GroupVersionKind: gvk("apps", "v1", "DaemonSet"), Resource: "daemonsets", Namespaced: true, Applied: true, Workload: true, Watch: Full, Removal: WithWorkloads, KeepsNamespace: true},
	{GroupVersionKind: gvk("batch", "v1", "Job"), Resource: "jobs", Namespaced: true, Applied: true, Workload: true, Watch: Full, Removal: WithWorkloads, KeepsNamespace: true},
	{GroupVersionKind: gvk("batch", "v1", "CronJob"), Resource: "cronjobs", Namespaced: true, Applied: true, Watch: Metadata, Removal: WithWorkloads, KeepsNamespace: true},
	{GroupVersionKind: gvk("policy", "v1", "PodDisruptionBudget"), Resource: "poddisruptionbudgets", Namespaced: true, Applied: true, Watch: Metadata, Removal: WithWorkloads},
	{GroupVersionKind: gvk("autoscaling", "v2", "HorizontalPodAutoscaler"), Resource: "horizontalpodautoscalers", Namespaced: true, Applied: true, Watch: Metadata, Removal: WithWorkloads},
	{GroupVersionKind: gvk("networking.k8s.io", "v1", "Ingress"), Resource: "ingresses", Namespaced: true, KeepsNamespace: true},
	{GroupVersionKind: gvk("networking.k8s.io", "v1", "NetworkPolicy"), Resource: "networkpolicies", Namespaced: true, KeepsNamespace: true},
	{GroupVersionKind: gvk("apps", "v1", "ReplicaSet"), Resource: "replicasets", Namespaced: true, KeepsNamespace: true},
	{GroupVersionKind: gvk("", "v1", "Pod"), Resource: "pods", Namespaced: true, Watch: Full, KeepsNamespace: true},
	{GroupVersionKind: gvk(AdmissionGroup, "v1", "ValidatingWebhookConfiguration"), Resource: "validatingwebhookconfigurations", Applied: true, Watch: Metadata, Phase: Last, Removal: WithWebhooks},
	{GroupVersionKind: gvk(AdmissionGroup, "v1", "MutatingWebhookConfiguration"), Resource: "mutatingwebhookconfigurations", Applied: true, Watch: Metadata, Phase: Last, Removal: WithWebhooks},
}

func gvk(group, version, kind string) schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: group, Version: version, Kind: kind}
}

// All returns the table in apply order.
func All() []Kind { return slices.Clone(table) }

// Of returns the row of a kind in whatever version.
func Of(group, kind string) (Kind, bool) {
	i := slices.IndexFunc(table, func(k Kind) bool { return k.Group == group && k.Kind == kind })
	if i < 0 {
		return Kind{}, false
	}
	return table[i], true
}

// Must returns the row of a kind that the table has.
func Must(group, kind string) Kind {
	k, ok := Of(group, kind)
	if !ok {
		panic(fmt.Sprintf("kind %s of group %q is not in the table", kind, group))
	}
	return k
}

// Rank is the place of an object's kind in the apply order.
func Rank(object *unstructured.Unstructured) int {
	gvk := object.GroupVersionKind()
	return slices.IndexFunc(table, func(k Kind) bool { return k.Group == gvk.Group && k.Kind == gvk.Kind })
}

// Where returns the rows that match, in apply order.
func Where(match func(Kind) bool) []Kind {
	var out []Kind
	for _, k := range table {
		if match(k) {
			out = append(out, k)
		}
	}
	return out
}

// RemovedIn returns the kinds that a stage of a removal deletes, in the order in which it deletes them.
func RemovedIn(stage Removal) []Kind {
	out := Where(func(k Kind) bool { return k.Removal == stage })
	slices.Reverse(out)
	return out
}

// Defined returns the kinds that Istio's definitions define, PeerAuthentication included.
func Defined() ([]Kind, error) {
	definitions, err := istiocrd.CRDs()
	if err != nil {
		return nil, fmt.Errorf("load Istio's definitions: %w", err)
	}
	out := make([]Kind, 0, len(definitions))
	for _, definition := range definitions {
		out = append(out, DefinedBy(definition))
	}
	return out, nil
}

// DefinedBy returns the kind that a definition defines.
func DefinedBy(definition *unstructured.Unstructured) Kind {
	group, _, _ := unstructured.NestedString(definition.Object, "spec", "group")
	kind, _, _ := unstructured.NestedString(definition.Object, "spec", "names", "kind")
	resource, _, _ := unstructured.NestedString(definition.Object, "spec", "names", "plural")
	if row, ok := Of(group, kind); ok {
		return row
	}
	return Kind{GroupVersionKind: gvk(group, storageVersion(definition), kind), Resource: resource, Namespaced: true, KeepsNamespace: true}
}

// storageVersion is the version that a definition stores.
func storageVersion(definition *unstructured.Unstructured) string {
	versions, _, _ := unstructured.NestedSlice(definition.Object, "spec", "versions")
	for _, v := range versions {
		if version, ok := v.(map[string]any); ok && version["storage"] == true {
			name, _ := version["name"].(string)
			return name
		}
	}
	return "v1"
}

// KeepingNamespace returns the kinds whose foreign objects keep the mesh's namespace, those of Istio included.
func KeepingNamespace() ([]Kind, error) {
	keep := Where(func(k Kind) bool { return k.KeepsNamespace })
	defined, err := Defined()
	if err != nil {
		return nil, err
	}
	for _, k := range defined {
		if _, ok := Of(k.Group, k.Kind); !ok {
			keep = append(keep, k)
		}
	}
	return keep, nil
}
