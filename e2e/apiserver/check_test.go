package apiserver

import (
	"slices"
	"testing"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/mesh-operator/mesh-operator/cmd/meshctl/check"
)

// problems are the names of checks that found something, as an administrator or somebody else reads the cluster.
func problems(t *testing.T, config *rest.Config, judge func(check.Facts) []check.Finding) []string {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	must(t, err)
	dyn, err := dynamic.NewForConfig(config)
	must(t, err)
	facts, err := check.Gather(timeout(t, time.Minute), client, dyn)
	must(t, err)
	var out []string
	for _, f := range judge(facts) {
		if f.Level != check.OK && !slices.Contains(out, f.Check) {
			out = append(out, f.Check)
		}
	}
	slices.Sort(out)
	return out
}

func wantProblems(t *testing.T, when string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: problems are %q, want %q", when, got, want)
	}
}

// TestMeshctlCheck reads a real API server: before, with another mesh, after an installation, and as somebody without rights.
func TestMeshctlCheck(t *testing.T) {
	cleanUp(t)
	wantProblems(t, "before", problems(t, server.Config, check.Before))
	wantProblems(t, "without an Installation", problems(t, server.Config, check.After), "installation")
	t.Run("OtherMesh", func(t *testing.T) {
		withObjects(t, `{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingWebhookConfiguration, metadata: {name: istiod, labels: {app: sidecar-injector}}}`)
		wantProblems(t, "another Istio", problems(t, server.Config, check.Before), "other-mesh")
	})
	nobody := rest.CopyConfig(server.Config)
	nobody.Impersonate = rest.ImpersonationConfig{UserName: "nobody", Groups: []string{"system:authenticated"}}
	wantProblems(t, "without rights", problems(t, nobody, check.Before), "permissions", "read")

	o := startOperator(t, noFaults)
	create(t, nil)
	waitReady(t, 2*time.Minute)
	withObjects(t, "{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {istio-injection: enabled, pod-security.kubernetes.io/enforce: baseline}}}")
	wantProblems(t, "installed", problems(t, server.Config, check.After), "pod-security")
	remove(t)
	waitGone(t, time.Minute)
	o.end()
}
