package scenarios

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

const operatorAccount = "system:serviceaccount:istio-operator:istio-operator"

// granted is what our service accounts may do, by user name, as it was while the mesh was installed.
var granted = map[string][]lab.Permission{}

// auditLog is the path of the API server's audit log.
func auditLog(t *testing.T) string {
	t.Helper()
	text, err := mesh.Cluster(within(t, 30*time.Second), "status", "--name", mesh.Name)
	must(t, err)
	for line := range strings.Lines(text) {
		if path, ok := strings.CutPrefix(line, "audit log"); ok {
			return strings.TrimSpace(path)
		}
	}
	t.Fatalf("the cluster's status names no audit log:\n%s", text)
	return ""
}

// TestIdle watches the operator while nothing happens: over renewals of its Lease, two seconds apart, and more than a minute,
// in which it has also asked pilot about the proxies, it writes nothing else.
func TestIdle(t *testing.T) {
	must(t, mesh.InstallationReady(within(t, time.Minute)))
	everyProxySynced(t)
	dataPlaneSettled(t)
	path, started := auditLog(t), time.Now()
	var writes []string
	must(t, lab.Until(within(t, 3*time.Minute), "the renewals of the Lease passed", func(context.Context) error {
		writes = nil
		renewals := 0
		err := lab.Audit(path, func(e lab.AuditEvent) {
			if e.User.Username != operatorAccount || !e.Write() || e.Completed.Before(started) {
				return
			}
			if e.Object.Resource == "leases" {
				renewals++
				return
			}
			writes = append(writes, fmt.Sprintf("%s %s %s/%s", e.Verb, e.Resource(), e.Object.Namespace, e.Object.Name))
		})
		if err == nil && (renewals < 5 || time.Since(started) < 65*time.Second) {
			err = fmt.Errorf("%d renewals", renewals)
		}
		return err
	}))
	if len(writes) > 0 {
		t.Errorf("the idle operator wrote: %v", writes)
	}
}

// TestRecordPermissions remembers what our service accounts may do, for TestPermissionsUsed at the end.
func TestRecordPermissions(t *testing.T) {
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
		record(rules[b.RoleRef.Kind+"//"+b.RoleRef.Name], b.Subjects)
	}
	bindings, err := rbac.RoleBindings("").List(ctx, metav1.ListOptions{})
	must(t, err)
	for _, b := range bindings.Items {
		ns := b.Namespace
		if b.RoleRef.Kind == "ClusterRole" {
			ns = ""
		}
		record(rules[b.RoleRef.Kind+"/"+ns+"/"+b.RoleRef.Name], b.Subjects)
	}
	if len(granted[operatorAccount]) == 0 {
		t.Error("no permissions of the operator found")
	}
}

func record(rules []rbacv1.PolicyRule, subjects []rbacv1.Subject) {
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
		{Group: "rbac.authorization.k8s.io", Resource: "clusterroles", Verb: "bind"}: "asked when a RoleBinding to the role is written",
		{Group: "istio.openshift.com", Resource: "installations", Verb: "get"}:       "asked when a policy with this parameter is written",
	},
	injectorAccount: {
		{Group: "", Resource: "namespaces", Verb: "get"}: "used when a pod comes before the news of its namespace",
	},
}

// usedPermissions is told after all other scenarios: every permission was used, and none was missing.
func usedPermissions(t *testing.T) {
	used, refused := map[string]map[lab.Permission]bool{}, map[refusal]bool{}
	must(t, lab.Audit(auditLog(t), func(e lab.AuditEvent) {
		if granted[e.User.Username] == nil || e.Completed.Before(begun) {
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
			p.Verb = "create" // an apply that creates needs both verbs and is logged as one
			used[e.User.Username][p] = true
		}
	}))
	for r := range refused {
		if !used[r.user][r.permission] || !leaves(t, r.namespace) {
			t.Errorf("refused for lack of permission: %s may not %s %s in %q", r.user, r.permission.Verb, r.permission.Resource, r.namespace)
		}
	}
	for _, user := range slices.Sorted(maps.Keys(granted)) {
		for _, p := range granted[user] {
			if !used[user][p] && !grantsIt(user, p) && unlogged[user][p] == "" {
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

// leaves reports namespaces that were deleted in a scenario. Permissions in a namespace go while it is being deleted, and
// nothing can be made in it any more: a request that comes then is refused, although it was allowed before.
func leaves(t *testing.T, namespace string) bool {
	t.Helper()
	if namespace == "istio-system" {
		return true
	}
	_, err := mesh.Client.CoreV1().Namespaces().Get(within(t, 30*time.Second), namespace, metav1.GetOptions{})
	return apierrors.IsNotFound(err)
}

// grantsIt reports whether the operator holds p because it grants it: the API server lets nobody grant more than it has.
func grantsIt(user string, p lab.Permission) bool {
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
