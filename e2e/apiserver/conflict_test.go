package apiserver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// conflictingClusterRole are objects that have the names of ours, and a webhook of another Istio.
const conflictingClusterRole = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: istio-pilot-istio-system}
rules: []
`

const conflictingService = `
apiVersion: v1
kind: Namespace
metadata: {name: istio-system}
---
apiVersion: v1
kind: Service
metadata: {name: istio-pilot, namespace: istio-system}
spec: {ports: [{port: 1}], selector: {app: theirs}}
`

// TestForeignObjectsAreConflicts puts objects of others where ours would go: they are named before anything is written beside the Installation
// and, for what only the namespace can tell, the access to it. When they have gone, the install goes on by itself.
func TestForeignObjectsAreConflicts(t *testing.T) {
	cleanUp(t)
	atEnd(t, func(ctx context.Context) error { return deleteNamespace(ctx, "istio-system") })
	must(t, server.Apply(timeout(t, 10*time.Second), "", conflictingClusterRole+"---"+conflictingService))
	o := startOperator(t, noFaults)
	waitPolicies(t, o)
	create(t, nil)
	waitCondition(t, "NoConflicts", "ClusterRole istio-pilot-istio-system exists and is not managed by this operator")
	wroteOnly(t, o, "/installations/")
	must(t, server.Delete(timeout(t, 10*time.Second), "", conflictingClusterRole))
	waitCondition(t, "NoConflicts", "Service istio-system/istio-pilot exists and is not managed by this operator")
	wroteOnly(t, o, "/installations/", "/configmaps/istio-installation-inventory", "/rolebindings/istio-operator")
	must(t, server.Client.CoreV1().Services("istio-system").Delete(timeout(t, 10*time.Second), "istio-pilot", metav1.DeleteOptions{}))
	waitReady(t, stepTimeout)
	remove(t)
	waitGone(t, stepTimeout)
	if _, err := server.Client.CoreV1().Namespaces().Get(t.Context(), "istio-system", metav1.GetOptions{}); err != nil {
		t.Errorf("somebody's namespace after the removal: %v", err)
	}
}

// waitPolicies waits until the operator has written its policies, and forgets those writes.
func waitPolicies(t *testing.T, o *operator) {
	t.Helper()
	must(t, lab.Until(timeout(t, stepTimeout), "the operator is up", func(context.Context) error {
		if len(o.current().Writes()) < 6 {
			return errors.New("its policies are not written yet")
		}
		return nil
	}))
	o.current().FaultFunc(nil)
}

func wroteOnly(t *testing.T, o *operator, allowed ...string) {
	t.Helper()
	for _, write := range o.current().Writes() {
		fine := false
		for _, path := range allowed {
			fine = fine || strings.Contains(write, path)
		}
		if !fine {
			t.Errorf("written while something stood in the way: %s", write)
		}
	}
}

// TestMissingPermission takes permissions away and gives them back one by one: the status says each time which one is missing.
func TestMissingPermission(t *testing.T) {
	cleanUp(t)
	atEnd(t, server.installOperator)
	startOperator(t, noFaults)
	missing := []struct{ role, resource, verbs, waitCondition string }{
		{"roles istio-operator/istio-operator", "configmaps", "patch", `cannot patch resource "configmaps"`},
		{"clusterroles /istio-operator-mesh", "poddisruptionbudgets", "list watch", `resource "poddisruptionbudgets" in API group "policy"`},
		{"clusterroles /istio-operator", "customresourcedefinitions", "create", `cannot create resource "customresourcedefinitions"`},
		{"clusterroles /istio-operator-mesh", "deployments", "patch", `cannot patch resource "deployments"`},
	}
	for _, m := range missing {
		must(t, setVerbs(timeout(t, 10*time.Second), m.role, m.resource, m.verbs, false))
	}
	create(t, nil)
	for _, m := range missing {
		waitCondition(t, "Ready", m.waitCondition)
		must(t, setVerbs(timeout(t, 10*time.Second), m.role, m.resource, m.verbs, true))
		retryUntilNot(t, m.waitCondition)
	}
	waitReady(t, stepTimeout)
	must(t, setVerbs(timeout(t, 10*time.Second), "clusterroles /istio-operator", "clusterrolebindings", "delete", false))
	remove(t)
	waitCondition(t, "Ready", `cannot delete resource "clusterrolebindings"`)
	must(t, setVerbs(timeout(t, 10*time.Second), "clusterroles /istio-operator", "clusterrolebindings", "delete", true))
	waitGone(t, stepTimeout)
}

// retryUntilNot makes the operator try again at once until the status no longer says words.
func retryUntilNot(t *testing.T, words string) {
	t.Helper()
	must(t, lab.Until(timeout(t, stepTimeout), "status no longer says "+words, func(ctx context.Context) error {
		change(t, fmt.Sprintf(`{"metadata": {"annotations": {"looked-at": "%d"}}}`, time.Now().UnixNano()))
		in, err := server.Installation(ctx)
		if err != nil {
			return err
		}
		if _, reason := lab.Condition(in, "Ready"); strings.Contains(reason, words) {
			return errors.New(reason)
		}
		return nil
	}))
}

// setVerbs adds verbs to the rules for a resource in a role, or takes them from them. The role is "resource namespace/name".
func setVerbs(ctx context.Context, role, resource, verbs string, yes bool) error {
	kind, path, _ := strings.Cut(role, " ")
	namespace, name, _ := strings.Cut(path, "/")
	roles := server.Dynamic.Resource(schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: kind}).Namespace(namespace)
	u, err := roles.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	rules, _, err := unstructured.NestedSlice(u.Object, "rules")
	if err != nil {
		return err
	}
	for _, rule := range rules {
		r, ok := rule.(map[string]any)
		if resources, _, _ := unstructured.NestedStringSlice(r, "resources"); !ok || !slices.Contains(resources, resource) {
			continue
		}
		before, _, _ := unstructured.NestedSlice(r, "verbs")
		var kept []any
		for _, v := range before {
			if !slices.Contains(strings.Fields(verbs), fmt.Sprint(v)) {
				kept = append(kept, v)
			}
		}
		for _, verb := range strings.Fields(verbs) {
			if yes {
				kept = append(kept, verb)
			}
		}
		r["verbs"] = kept
	}
	if err := unstructured.SetNestedSlice(u.Object, rules, "rules"); err != nil {
		return err
	}
	_, err = roles.Update(ctx, u, metav1.UpdateOptions{})
	return err
}
