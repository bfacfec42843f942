// Package rbac computes the operator's ClusterRoles from the table of kinds, the charts and Istio's definitions, so that a new
// component, kind or definition changes them by itself: make generate writes config/rbac, and a test compares.
//
// Names are given wherever RBAC can use them; only list and watch, which take no name, and create of objects that are posted
// are wider.
package rbac

import (
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/charts"
	"github.com/mesh-operator/mesh-operator/controllers/installation/admission"
	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
	"github.com/mesh-operator/mesh-operator/controllers/installation/kinds"
	"github.com/mesh-operator/mesh-operator/controllers/installation/write"
	"github.com/mesh-operator/mesh-operator/internal/istiocrd"
	"github.com/mesh-operator/mesh-operator/internal/names"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

const (
	operatorRole = "istio-operator"
	grantsRole   = "istio-operator-grants"
)

// Verbs of an object that the operator applies, by name and as a whole kind.
var (
	manage     = []string{"get", "list", "watch", "create", "patch", "delete"}
	manageName = []string{"get", "create", "patch", "delete"}
	observe    = []string{"list", "watch"}
)

// rule is a PolicyRule with its reason.
type rule struct {
	reason string
	rbacv1.PolicyRule
}

func allow(reason, group string, resources, verbs []string, resourceNames ...string) rule {
	return rule{reason, rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: verbs, ResourceNames: resourceNames}}
}

// inputs are what the roles are computed from.
type inputs struct {
	objects     []*unstructured.Unstructured // of every component
	definitions []*unstructured.Unstructured
	policies    []string        // names of the admission policies
	charted     map[string]bool // kinds of objects, and those that a template names, rendered by default or not
}

func load(catalog desired.Catalog) (inputs, error) {
	spec := &v1alpha1.InstallationSpec{}
	objects, err := desired.EveryObject(desired.Input{Spec: spec, Catalog: catalog, Facts: desired.Facts{Roots: []byte("roots")}})
	if err != nil {
		return inputs{}, err
	}
	definitions, err := istiocrd.CRDs()
	if err != nil {
		return inputs{}, fmt.Errorf("load Istio's definitions: %w", err)
	}
	policies, err := admission.Objects("uid", owner.OperatorNamespace, nil)
	if err != nil {
		return inputs{}, err
	}
	charted, err := chartedKinds(charts.FS)
	if err != nil {
		return inputs{}, err
	}
	for _, object := range objects {
		charted[object.GetKind()] = true
	}
	if charted["StatefulSet"] {
		charted["PersistentVolumeClaim"] = true // its claims are kept or deleted by a removal
	}
	in := inputs{objects: objects, definitions: definitions, charted: charted}
	for _, policy := range policies {
		in.policies = append(in.policies, policy.GetName())
	}
	return in, nil
}

var kindLine = regexp.MustCompile(`(?m)^kind: (\w+)$`)

// chartedKinds finds the kinds in the templates of charts. Rendering would miss what only some Installations ask for.
func chartedKinds(files fs.FS) (map[string]bool, error) {
	found := map[string]bool{}
	err := fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := fs.ReadFile(files, path)
		for _, match := range kindLine.FindAllSubmatch(text, -1) {
			found[string(match[1])] = true
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the charts' templates: %w", err)
	}
	return found, nil
}

// Files returns the generated files of config/rbac by name.
func Files(catalog desired.Catalog) (map[string][]byte, error) {
	in, err := load(catalog)
	if err != nil {
		return nil, err
	}
	granted, err := in.rules("ClusterRole")
	if err != nil {
		return nil, err
	}
	inMesh, err := in.mesh()
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		"users.yaml":       in.users(),
		"confinement.yaml": append([]byte(header), admission.Confinement(owner.OperatorNamespace)...),
		"operator.yaml":    append(clusterRole("What the operator itself does at cluster scope.", operatorRole, in.operator()), binding(operatorRole)...),
		"mesh.yaml": clusterRole("What the operator does inside the mesh's namespace. Nothing binds this here: the operator binds it to itself in the\n"+
			"# namespace it installs into, and deletes the binding with the mesh.", write.MeshAccessRole, inMesh),
		"grants.yaml": append(clusterRole("What the operator holds only to grant it: Kubernetes lets nobody grant what he does not hold. These are the rules of the\n"+
			"# components' ClusterRoles, and Secrets are not among them. The operator never uses them.", grantsRole, granted), binding(grantsRole)...),
	}, nil
}

// operator are the rules at cluster scope.
func (in inputs) operator() []rule {
	definitions, resources := in.definitionNames(), in.definedResources()
	rules := []rule{
		allow("The mesh's namespace.", "", []string{"namespaces"}, observe),
		allow("", "", []string{"namespaces"}, manageName, owner.MeshNamespace),
		allow("Its own access to that namespace. "+write.MeshAccessRole+" holds only where the operator binds it, and an admission policy\n"+
			"# (confinement.yaml) lets it bind it nowhere else.", kinds.RBACGroup, []string{"clusterroles"}, []string{"bind"}, write.MeshAccessRole),
		allow("", kinds.RBACGroup, []string{"rolebindings"}, manageName, "istio-operator"),
		allow("The definitions of Istio's kinds, and its own, which owns the admission policies.", kinds.CRDGroup, []string{"customresourcedefinitions"}, []string{"list", "watch", "create"}),
		allow("", kinds.CRDGroup, []string{"customresourcedefinitions"}, []string{"get", "patch", "delete"}, definitions...),
		allow("", kinds.CRDGroup, []string{"customresourcedefinitions"}, []string{"get"}, "installations.istio.openshift.com"),
	}
	rules = append(rules, in.clusterObjects()...)
	rules = append(rules,
		allow("The rules for Installations. Whoever writes a policy with a parameter must be able to read all parameters of that kind.", "istio.openshift.com", []string{"installations"}, []string{"get"}),
		allow("", kinds.AdmissionGroup, []string{"validatingadmissionpolicies", "validatingadmissionpolicybindings"}, []string{"get", "create", "patch"}, unique(in.policies)...),
		allow("The policy that confines the operator's right to bind (confinement.yaml): it may create it, and not change it.",
			kinds.AdmissionGroup, []string{"validatingadmissionpolicies", "validatingadmissionpolicybindings"}, []string{"create"}),
		allow("", kinds.AdmissionGroup, []string{"validatingadmissionpolicies", "validatingadmissionpolicybindings"}, []string{"get"}, "istio-operator-confinement"),
		allow("A removal lists the pods that still have a sidecar and the objects of Istio's kinds, and deletes the roots of trust from every\n"+
			"# namespace.", "", []string{"pods"}, []string{"list"}),
	)
	for _, group := range sortedKeys(resources) {
		rules = append(rules, allow("", group, resources[group], []string{"list"}))
	}
	return append(rules, allow("", "", []string{"configmaps"}, []string{"list", "delete"}, names.RootsConfigMap))
}

// users are roles for people: Istio's kinds for those who have admin, edit or view in a namespace, and view of the Installation.
func (in inputs) users() []byte {
	resources := in.definedResources()
	var read, write []rule
	for _, group := range sortedKeys(resources) {
		read = append(read, allow("", group, resources[group], []string{"get", "list", "watch"}))
		write = append(write, allow("", group, resources[group], []string{"create", "delete", "deletecollection", "patch", "update"}))
	}
	read = append(read, allow("The Installation.", "istio.openshift.com", []string{"installations"}, []string{"get", "list", "watch"}))
	return slices.Concat(
		aggregated("Kubernetes adds these rules to its ClusterRoles view, edit and admin.", "istio-view", read, "view", "edit", "admin"),
		[]byte("---\n"),
		aggregated("And these to edit and admin.", "istio-edit", write, "edit", "admin"),
	)
}

// aggregated is a ClusterRole whose rules are added to other roles.
func aggregated(reason, name string, rules []rule, to ...string) []byte {
	labels := "  labels:\n"
	for _, role := range to {
		labels += "    rbac.authorization.k8s.io/aggregate-to-" + role + ": \"true\"\n"
	}
	return bytes.Replace(clusterRole(reason, name, rules), []byte("rules:\n"), []byte(labels+"rules:\n"), 1)
}

// clusterObjects are the rules for objects of components at cluster scope: list and watch of their kinds, the rest by name.
func (in inputs) clusterObjects() []rule {
	byResource, group := map[string][]string{}, map[string]string{}
	for _, row := range kinds.Where(func(k kinds.Kind) bool { return k.Applied && !k.Namespaced }) {
		group[row.Resource] = row.Group
		for _, object := range in.objects {
			if gvk := object.GroupVersionKind(); gvk.Group == row.Group && gvk.Kind == row.Kind {
				byResource[row.Resource] = append(byResource[row.Resource], object.GetName())
			}
		}
	}
	var rules []rule
	for _, resource := range sortedKeys(group) {
		rules = append(rules, allow("Objects of components at cluster scope: "+resource+".", group[resource], []string{resource}, observe))
		if objects := unique(byResource[resource]); len(objects) > 0 {
			rules = append(rules, allow("", group[resource], []string{resource}, manageName, objects...))
		}
	}
	return rules
}

// mesh are the rules inside the mesh's namespace.
func (in inputs) mesh() ([]rule, error) {
	var rules []rule
	all := kinds.Where(func(k kinds.Kind) bool { return k.Namespaced })
	managed := func(k kinds.Kind) bool { return k.Applied && in.charted[k.Kind] && k.Kind != "Secret" }
	rules = append(rules, byGroup("The kinds that the charts contain.", manage, all, managed)...)
	rules = append(rules, byGroup("Pods are watched for the reasons why they do not run, and other kinds so that a chart can contain them.", observe, all,
		func(k kinds.Kind) bool { return !managed(k) && k.Watch != kinds.NotWatched })...)
	rules = append(rules, in.secrets()...)
	rules = append(rules, byGroup("The namespace is deleted only when nothing in it belongs to somebody else.", []string{"list"}, all, func(k kinds.Kind) bool {
		return !k.Applied && k.Watch == kinds.NotWatched
	})...)
	defined := in.definedResources()
	for _, group := range sortedKeys(defined) {
		rules = append(rules, allow("", group, defined[group], []string{"list"}))
	}
	granted, err := in.rules("Role")
	if err != nil {
		return nil, err
	}
	if len(granted) > 0 {
		granted[0].reason = "The rules of the components' Roles, which the operator holds to grant them."
	}
	return append(rules, granted...), nil
}

// secrets are the rules for Secrets, which are managed by name: of the root of trust and of components.
func (in inputs) secrets() []rule {
	rules := []rule{allow("A removal deletes the root of trust, or leaves it behind.", "", []string{"secrets"}, []string{"get", "patch", "delete"}, names.RootSecret)}
	var own []string
	for _, object := range in.objects {
		if object.GetKind() == "Secret" {
			own = append(own, object.GetName())
		}
	}
	if len(own) == 0 {
		return rules
	}
	return append(rules, allow("The Secrets of components; a creation takes no name.", "", []string{"secrets"}, []string{"create"}),
		allow("", "", []string{"secrets"}, []string{"get", "patch", "delete"}, unique(own)...))
}

// byGroup makes one rule for each API group of the rows that match.
func byGroup(reason string, verbs []string, rows []kinds.Kind, match func(kinds.Kind) bool) []rule {
	resources := map[string][]string{}
	for _, row := range rows {
		if match(row) {
			resources[row.Group] = append(resources[row.Group], row.Resource)
		}
	}
	var rules []rule
	for _, group := range sortedKeys(resources) {
		rules = append(rules, allow(reason, group, unique(resources[group]), verbs))
		reason = ""
	}
	return rules
}

// rules returns the rules of all components' roles of a kind; verbs of the same resources and names are put together.
func (in inputs) rules(kind string) ([]rule, error) {
	merged := map[string]rbacv1.PolicyRule{}
	for _, object := range in.objects {
		if object.GetKind() != kind {
			continue
		}
		var role rbacv1.ClusterRole // a Role has the same rules
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &role); err != nil {
			return nil, fmt.Errorf("read %s %s: %w", kind, object.GetName(), err)
		}
		for _, r := range role.Rules {
			for _, group := range r.APIGroups {
				for _, resource := range r.Resources {
					key := strings.Join(append([]string{group, resource}, r.ResourceNames...), "/")
					verbs := unique(append(slices.Clone(r.Verbs), merged[key].Verbs...))
					merged[key] = rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, ResourceNames: r.ResourceNames, Verbs: verbs}
				}
			}
		}
	}
	var out []rule
	for _, key := range sortedKeys(merged) {
		out = append(out, rule{PolicyRule: merged[key]})
	}
	return out, nil
}

func (in inputs) definitionNames() []string {
	var out []string
	for _, d := range in.definitions {
		out = append(out, d.GetName())
	}
	return unique(out)
}

// definedResources are the resources of Istio's kinds by API group.
func (in inputs) definedResources() map[string][]string {
	out := map[string][]string{}
	for _, d := range in.definitions {
		kind := kinds.DefinedBy(d)
		out[kind.Group] = unique(append(out[kind.Group], kind.Resource))
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string {
	var keys []string
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func unique(list []string) []string {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b string) int { return cmp.Compare(a, b) })
	return slices.Compact(list)
}

const header = "# Generated by make generate (controllers/installation/rbac); do not edit.\n#\n"

func clusterRole(reason, name string, rules []rule) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s# %s\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: %s\nrules:\n", header, reason, name)
	for _, r := range rules {
		if r.reason != "" {
			fmt.Fprintf(&out, "# %s\n", r.reason)
		}
		fmt.Fprintf(&out, "- apiGroups:%s\n  resources:%s\n", list(r.APIGroups), list(r.Resources))
		if len(r.ResourceNames) > 0 {
			fmt.Fprintf(&out, "  resourceNames:%s\n", list(r.ResourceNames))
		}
		fmt.Fprintf(&out, "  verbs:%s\n", list(r.Verbs))
	}
	return out.Bytes()
}

// list writes a list on one line, or one item a line when it is long.
func list(items []string) string {
	if len(items) == 1 && items[0] == "" {
		return ` [""]`
	}
	if line := " [" + strings.Join(items, ", ") + "]"; len(line) < 110 {
		return line
	}
	return "\n  - " + strings.Join(items, "\n  - ")
}

// binding gives a ClusterRole to the operator everywhere.
func binding(role string) []byte {
	object := rbacv1.ClusterRoleBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: kinds.RBACGroup + "/v1", Kind: "ClusterRoleBinding"},
		ObjectMeta: metav1.ObjectMeta{Name: role},
		RoleRef:    rbacv1.RoleRef{APIGroup: kinds.RBACGroup, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: "istio-operator", Namespace: owner.OperatorNamespace}},
	}
	text, err := yaml.Marshal(object)
	if err != nil {
		panic(fmt.Sprintf("marshal a ClusterRoleBinding: %v", err)) // its fields are strings
	}
	return append([]byte("---\n"), text...)
}
