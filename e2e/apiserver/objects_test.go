package apiserver

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// unrelatedObjects are objects of other people that have nothing to do with the mesh but their names.
const unrelatedObjects = `
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: default}
data: {mesh: mine}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: istio-reader}
rules: []
`

// userObjects live in the mesh: they keep its namespace, and the definitions of their kinds.
const userObjects = `
apiVersion: v1
kind: ConfigMap
metadata: {name: guest, namespace: istio-system}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: guest, namespace: default}
spec: {hosts: [guest], http: [{route: [{destination: {host: guest}}]}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: guest, namespace: default}
spec: {host: guest}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: guest, namespace: default}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [guest]}]}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: guest, namespace: default}
spec: {mtls: {mode: STRICT}}
`

// withObjects puts objects of other people into the cluster for the time of a test.
func withObjects(t *testing.T, text string) {
	t.Helper()
	must(t, server.Apply(timeout(t, 10*time.Second), "", text))
	atEnd(t, func(ctx context.Context) error { return server.Delete(ctx, "", text) })
}

// installedBefore installs a mesh and puts guests into it: when it is removed, its namespace and the definitions of Istio's kinds
// stay, until the end of the test.
func installedBefore(t *testing.T) {
	t.Helper()
	atEnd(t, func(ctx context.Context) error {
		return errors.Join(deleteNamespace(ctx, "istio-system"), deleteDefinitions(ctx))
	})
	create(t, map[string]any{"components": map[string]any{"galley": map[string]any{"enabled": false}}}) // it would be asked about the guests
	waitReady(t, stepTimeout)
	withObjects(t, userObjects)
	remove(t)
	waitGone(t, stepTimeout)
}

func atEnd(t *testing.T, do func(ctx context.Context) error) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), lab.Slack*3*time.Minute)
		defer cancel()
		if err := do(ctx); err != nil {
			t.Error(err)
		}
	})
}

func deleteNamespace(ctx context.Context, name string) error {
	if err := server.DeleteNamespace(ctx, name); err != nil {
		return err
	}
	return lab.Gone(ctx, "namespace "+name, func(ctx context.Context) error {
		_, err := server.Client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
		return err
	})
}

// deleteDefinitions deletes the definitions of Istio's kinds.
func deleteDefinitions(ctx context.Context) error {
	definitions := server.Dynamic.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	ours := metav1.ListOptions{LabelSelector: owner.LabelInstallation + "=" + owner.Installation}
	if err := definitions.DeleteCollection(ctx, metav1.DeleteOptions{}, ours); err != nil {
		return err
	}
	return lab.Until(ctx, "Istio's definitions are gone", func(ctx context.Context) error {
		left, err := definitions.List(ctx, ours)
		if err == nil && len(left.Items) > 0 {
			err = fmt.Errorf("%d are there", len(left.Items))
		}
		return err
	})
}
