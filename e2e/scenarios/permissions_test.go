package scenarios

import (
	"maps"
	"slices"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// grants are the permissions of our service accounts, by user name.
type grants map[string][]lab.Permission

// grantedPermissions reads the roles and bindings of our service accounts.
func grantedPermissions(t *testing.T) grants {
	t.Helper()
	granted := grants{}
	rbac := mesh.Client.RbacV1()
	ctx := within(t, time.Minute)
	clusterRoles, err := rbac.ClusterRoles().List(ctx, metav1.ListOptions{})
	must(t, err)
	roles, err := rbac.Roles("").List(ctx, metav1.ListOptions{})
	must(t, err)
	rules := map[string][]rbacv1.PolicyRule{}
	for _, r := range clusterRoles.Items {
		rules["ClusterRole//"+r.Name] = r.Rules
	}
	for _, r := range roles.Items {
		rules["Role/"+r.Namespace+"/"+r.Name] = r.Rules
	}
	clusterBindings, err := rbac.ClusterRoleBindings().List(ctx, metav1.ListOptions{})
	must(t, err)
	for _, b := range clusterBindings.Items {
		granted.add(rules[b.RoleRef.Kind+"//"+b.RoleRef.Name], b.Subjects)
	}
	bindings, err := rbac.RoleBindings("").List(ctx, metav1.ListOptions{})
	must(t, err)
	for _, b := range bindings.Items {
		ns := b.Namespace
		if b.RoleRef.Kind == "ClusterRole" {
			ns = ""
		}
		granted.add(rules[b.RoleRef.Kind+"/"+ns+"/"+b.RoleRef.Name], b.Subjects)
	}
	if len(granted[operatorAccount]) == 0 {
		t.Error("no permissions of the operator found")
	}
	return granted
}

func (granted grants) add(rules []rbacv1.PolicyRule, subjects []rbacv1.Subject) {
	for _, s := range subjects {
		if s.Kind == "ServiceAccount" && (s.Namespace == "istio-operator" || s.Namespace == "istio-system") {
			user := "system:serviceaccount:" + s.Namespace + ":" + s.Name
			granted[user] = append(granted[user], lab.Permissions(rules)...)
		}
	}
}

const injectorAccount = "system:serviceaccount:istio-system:istio-sidecar-injector-service-account"

// unlogged lists permissions, by account, that no request in the log may show, with the reason.
var unlogged = map[string]map[lab.Permission]string{
	operatorAccount: {
		{Group: "rbac.authorization.k8s.io", Resource: "clusterroles", Verb: "bind"}: "checked when a RoleBinding to the role is written",
		{Group: "istio.openshift.com", Resource: "installations", Verb: "get"}:       "checked when a policy with this parameter is written",
	},
	injectorAccount: {
		{Group: "", Resource: "namespaces", Verb: "get"}: "used when a pod is created before the injector's cache has its namespace",
	},
}

// checkUsed compares the permissions with the audit log since began: every permission was used, and none was missing.
func (granted grants) checkUsed(t *testing.T, began time.Time) {
	t.Helper()
	used, refused := map[string]map[lab.Permission]bool{}, map[refusal]bool{}
	must(t, lab.Audit(auditLog(t), func(e lab.AuditEvent) {
		if granted[e.User.Username] == nil || e.Completed.Before(began) {
			return
		}
		p := lab.Permission{Group: e.Object.Group, Resource: e.Resource(), Verb: e.Verb}
		if e.Response.Code == 403 {
			refused[refusal{e.User.Username, p, e.Object.Namespace}] = true
			return
		}
		if used[e.User.Username] == nil {
			used[e.User.Username] = map[lab.Permission]bool{}
		}
		used[e.User.Username][p] = true
		if p.Verb == "patch" && e.Response.Code == 201 {
			p.Verb = "create" // a server-side apply that creates needs both verbs and is logged as a patch
			used[e.User.Username][p] = true
		}
	}))
	for r := range refused {
		if !used[r.user][r.permission] || !deleted(t, r.namespace) {
			t.Errorf("refused for lack of permission: %s may not %s %s in %q", r.user, r.permission.Verb, r.permission.Resource, r.namespace)
		}
	}
	for _, user := range slices.Sorted(maps.Keys(granted)) {
		for _, p := range granted[user] {
			if !used[user][p] && !granted.toOthers(user, p) && unlogged[user][p] == "" {
				t.Errorf("%s may %s %s.%s and never did", user, p.Verb, p.Resource, p.Group)
			}
		}
	}
}

// refusal is a request that was answered with 403.
type refusal struct {
	user       string
	permission lab.Permission
	namespace  string
}

// deleted reports namespaces that the scenario deletes. While a namespace is being deleted, the roles in it are deleted too, and
// nothing can be created: requests that were allowed before are refused then.
func deleted(t *testing.T, namespace string) bool {
	t.Helper()
	if namespace == "istio-system" {
		return true
	}
	_, err := mesh.Client.CoreV1().Namespaces().Get(within(t, 30*time.Second), namespace, metav1.GetOptions{})
	return apierrors.IsNotFound(err)
}

// toOthers reports whether the operator holds p because it grants it: the API server lets nobody grant more than it has.
func (granted grants) toOthers(user string, p lab.Permission) bool {
	if user != operatorAccount {
		return false
	}
	for other, permissions := range granted {
		if other != operatorAccount && slices.Contains(permissions, p) {
			return true
		}
	}
	return false
}
