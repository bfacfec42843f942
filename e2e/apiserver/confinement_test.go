package apiserver

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// TestOperatorIsConfined: with the operator's token nobody binds its role in another namespace or to somebody else, not even
// in the mesh's own, or changes the policy that says so.
func TestOperatorIsConfined(t *testing.T) {
	config := rest.CopyConfig(server.Config)
	config.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:istio-operator:istio-operator",
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:istio-operator", "system:authenticated"},
	}
	operator, err := kubernetes.NewForConfig(config)
	must(t, err)
	must(t, server.Apply(timeout(t, 10*time.Second), "", "{apiVersion: v1, kind: Namespace, metadata: {name: istio-system}}"))
	defer func() { must(t, deleteNamespace(t.Context(), "istio-system")) }()
	itself := rbacv1.Subject{Kind: "ServiceAccount", Name: "istio-operator", Namespace: "istio-operator"}
	other := rbacv1.Subject{Kind: "ServiceAccount", Name: "default", Namespace: "default"}
	for name, c := range map[string]struct {
		namespace string
		subjects  []rbacv1.Subject
		refusal   string
	}{
		"Itself":           {"istio-system", []rbacv1.Subject{itself}, ""},
		"AnotherNamespace": {"default", []rbacv1.Subject{itself}, "in namespace istio-system only, not in default"},
		"AnotherAccount":   {"istio-system", []rbacv1.Subject{itself, other}, "to itself only"},
		"NoSubject":        {"istio-system", nil, "to itself only"},
	} {
		text := `{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "istio-operator"}, "roleRef": {
			"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "istio-operator-mesh"}, "subjects": [` + subjects(c.subjects) + `]}`
		// A policy takes a moment to be in force after it was created.
		must(t, lab.Until(timeout(t, 30*time.Second), name, func(ctx context.Context) error {
			_, err := operator.RbacV1().RoleBindings(c.namespace).Patch(ctx, "istio-operator", "application/apply-patch+yaml", []byte(text),
				metav1.PatchOptions{FieldManager: "test", DryRun: []string{metav1.DryRunAll}})
			if c.refusal == "" {
				return err
			}
			if err == nil {
				return fmt.Errorf("the binding is accepted, want a refusal with %q", c.refusal)
			}
			if !strings.Contains(err.Error(), c.refusal) {
				return fmt.Errorf("want a refusal with %q: %w", c.refusal, err)
			}
			return nil
		}))
	}
	policies := operator.AdmissionregistrationV1().ValidatingAdmissionPolicies()
	if err := policies.Delete(timeout(t, 10*time.Second), "istio-operator-confinement", metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}); err == nil {
		t.Error("the operator may delete the policy that confines it")
	}
	if _, err := policies.Patch(timeout(t, 10*time.Second), "istio-operator-confinement", "application/merge-patch+json", []byte(`{"spec": {"validations": null}}`),
		metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}}); err == nil {
		t.Error("the operator may change the policy that confines it")
	}
}

func subjects(list []rbacv1.Subject) string {
	var out []string
	for _, s := range list {
		out = append(out, `{"kind": "`+s.Kind+`", "name": "`+s.Name+`", "namespace": "`+s.Namespace+`"}`)
	}
	return strings.Join(out, ", ")
}
