package apiserver

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// sidecarPod is a pod of a user's that got a sidecar before.
const sidecarPod = `
apiVersion: v1
kind: Pod
metadata: {name: tenant, namespace: default, annotations: {sidecar.istio.io/status: '{"revision":"default"}'}}
spec: {terminationGracePeriodSeconds: 0, containers: [{name: app, image: registry.example/app:1}]}
`

// TestUninstall removes meshes that are in use, each as its Installation says: with what is left of Istio's definitions and
// the users' objects, and of the root of trust.
func TestUninstall(t *testing.T) {
	for _, c := range []struct {
		name        string
		uninstall   map[string]any
		definitions bool // stay, with the objects
		root        bool // stays
	}{
		{"AsUsual", nil, true, true},
		{"DeleteDefinitions", map[string]any{"istioCRDs": "Delete"}, false, true},
		{"DeleteRoot", map[string]any{"rootCA": "Delete"}, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			cleanUp(t)
			atEnd(t, func(ctx context.Context) error {
				return errors.Join(deleteNamespace(ctx, "istio-system"), deleteDefinitions(ctx))
			})
			withObjects(t, sidecarPod)
			startOperator(t, noFaults)
			spec := map[string]any{"components": map[string]any{"galley": map[string]any{"enabled": false}}} // it would be asked about the guests
			if c.uninstall != nil {
				spec["uninstall"] = c.uninstall
			}
			create(t, spec)
			waitReady(t, stepTimeout)
			withObjects(t, userObjects)
			remove(t)
			waitGone(t, stepTimeout)
			checkExists(t, "networking.istio.io/virtualservices", "default", "guest", c.definitions)
			checkExists(t, "security.istio.io/peerauthentications", "default", "guest", c.definitions)
			checkExists(t, "apiextensions.k8s.io/customresourcedefinitions", "", "gateways.networking.istio.io", c.definitions)
			checkExists(t, "/secrets", "istio-system", "istio-ca-secret", c.root)
			checkExists(t, "/configmaps", "istio-system", "guest", true)
			checkExists(t, "/pods", "default", "tenant", true)
		})
	}
}

// checkExists compares whether an object of a "group/resource" of version v1 exists with whether it should.
func checkExists(t *testing.T, resource, namespace, name string, want bool) {
	t.Helper()
	group, plural, _ := strings.Cut(resource, "/")
	_, err := server.Dynamic.Resource(schema.GroupVersionResource{Group: group, Version: "v1", Resource: plural}).Namespace(namespace).
		Get(timeout(t, 10*time.Second), name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	if there := err == nil; there != want {
		t.Errorf("after the removal %s %s/%s exists: %t, want %t", plural, namespace, name, there, want)
	}
}

// TestIstioDefinitionDeleted deletes the definition of PeerAuthentication, and so every object of it, in a strict mesh. Both come
// back, and meanwhile what pilot reads still says strict.
func TestIstioDefinitionDeleted(t *testing.T) {
	cleanUp(t)
	startOperator(t, noFaults)
	create(t, map[string]any{"istio": map[string]any{"authentication": true}})
	waitReady(t, stepTimeout)
	policies := server.Dynamic.Resource(schema.GroupVersionResource{Group: "security.istio.io", Version: "v1", Resource: "peerauthentications"}).Namespace("istio-system")
	before, err := policies.Get(t.Context(), "default", metav1.GetOptions{})
	must(t, err)
	definitions := server.Dynamic.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	must(t, definitions.Delete(timeout(t, 10*time.Second), "peerauthentications.security.istio.io", metav1.DeleteOptions{}))
	must(t, lab.Until(timeout(t, stepTimeout), "the mesh's policy is back", func(ctx context.Context) error {
		config, err := meshConfigMaps().Get(ctx, "istio", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if mode := config.Data["mtlsMode"]; mode != "STRICT" {
			t.Errorf("without policies pilot reads %q", mode)
		}
		now, err := policies.Get(ctx, "default", metav1.GetOptions{})
		if err == nil && now.GetUID() == before.GetUID() {
			err = errors.New("it is the one of before")
		}
		return err
	}))
	waitReady(t, stepTimeout)
	remove(t)
	waitGone(t, stepTimeout)
}

// TestUnsupportedFields asks for a protection that this version does not give: the mesh works and is not Ready, until the
// Installation no longer asks for it.
func TestUnsupportedFields(t *testing.T) {
	cleanUp(t)
	startOperator(t, noFaults)
	create(t, map[string]any{"threeScale": map[string]any{"enabled": true}, "launcher": map[string]any{}, "kiali": map[string]any{"version": 1.9}})
	waitCondition(t, "Ready", "Unsupported: spec.threeScale.enabled: this version does not install the 3scale adapter")
	waitCondition(t, "SpecSupported", "spec.launcher, spec.threeScale.enabled")
	in, err := server.Installation(t.Context())
	must(t, err)
	if text := fmt.Sprint(in.Object["status"]); !strings.Contains(text, "UnquotedNumber") {
		t.Errorf("status has no warning of the number that is a version: %s", text)
	}
	change(t, `{"spec": {"threeScale": {"enabled": false}}}`)
	waitReady(t, stepTimeout)
	waitCondition(t, "SpecSupported", "spec.launcher")
	remove(t)
	waitGone(t, stepTimeout)
}
