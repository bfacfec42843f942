package apiserver

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
)

// TestUnenforcedKindsAreRefused: with the mesh's objects applied, the API server itself refuses objects of the kinds that pilot
// does not enforce, in every version, while no galley runs.
func TestUnenforcedKindsAreRefused(t *testing.T) {
	cleanUp(t)
	startOperator(t, noFaults)
	create(t, map[string]any{"components": map[string]any{"galley": map[string]any{"enabled": false}}})
	waitReady(t, stepTimeout)
	for _, kind := range istioconfig.Kinds() {
		for _, version := range kind.Versions() {
			object := &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": kind.Resource().Group + "/" + version, "kind": string(kind),
				"metadata": map[string]any{"name": "refused", "namespace": "default"},
			}}
			resource := server.Dynamic.Resource(kind.Resource().GroupResource().WithVersion(version)).Namespace("default")
			_, err := resource.Create(timeout(t, 10*time.Second), object, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			if kind.Enforced() {
				must(t, err)
			} else if err == nil || !strings.Contains(err.Error(), kind.Refusal()) {
				t.Errorf("%s %s: %v", version, kind, err)
			}
		}
	}
}
