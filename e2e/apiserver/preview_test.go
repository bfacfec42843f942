package apiserver

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/controllers/installation"
	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
	"github.com/mesh-operator/mesh-operator/controllers/installation/preview"
)

// TestPreviewIsWhatHappens compares what a preview says, which writes nothing, with what the operator then does: of an installation, of
// an edit that creates, changes, restarts and removes, and of no edit. The API server accepts the objects of a profile.
func TestPreviewIsWhatHappens(t *testing.T) {
	cleanUp(t)
	const first = `{"jaeger": {"enabled": false}, "grafana": {"enabled": false}}`
	before := dump(t)
	created := previewOf(t, first)
	if diff := cmp.Diff(before, dump(t)); diff != "" {
		t.Fatalf("the preview has written (-before +after):\n%s", diff)
	}
	o := startOperator(t, noFaults)
	create(t, map[string]any{})
	waitReady(t, stepTimeout)
	waitIdle(t, o)
	checkPreview(t, created, before, dump(t))
	if again := previewOf(t, first); len(again.Objects) > 0 {
		t.Errorf("a mesh at rest has differences:\n%s", again.Text())
	}
	production := previewOf(t, `{"jaeger": {"enabled": false}, "grafana": {"enabled": false}, "profile": "Production"}`)
	for _, want := range []string{"+ create PodDisruptionBudget istio-system/istio-pilot\n", "spec.replicas: 1 -> 2\n", "spec.mtls.mode: PERMISSIVE -> STRICT\n"} {
		if text := production.Text(); !strings.Contains(text, want) || strings.Contains(text, "! ") || strings.Contains(text, "? ") {
			t.Errorf("profile Production: want %q, and nothing that the API server refuses:\n%s", want, text)
		}
	}

	const second = `{"jaeger": {"enabled": true, "storage": {"type": "Memory"}}, "prometheus": {"enabled": false}, "grafana": {"enabled": false},
		"components": {"pilot": {"replicas": 1, "resources": {"limits": {"memory": "321Mi"}}}}, "gateways": [{"name": "istio-egressgateway", "enabled": false}]}`
	before = dump(t)
	edited := previewOf(t, second)
	if diff := cmp.Diff(before, dump(t)); diff != "" {
		t.Fatalf("the preview has written (-before +after):\n%s", diff)
	}
	text := edited.Text()
	for _, want := range []string{
		"~ change Deployment istio-system/istio-pilot, restarts ", `: + {"memory":"321Mi"}`, "- remove Deployment istio-system/prometheus\n", "- remove Service istio-system/istio-egressgateway\n",
		"+ create Deployment istio-system/jaeger\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the preview has no %q", want)
		}
	}
	change(t, `{"spec": `+second+`}`)
	waitReady(t, stepTimeout)
	waitIdle(t, o)
	checkPreview(t, edited, before, dump(t))
	if t.Failed() {
		t.Log(text)
	}
}

// checkPreview compares the names of what was created, removed and changed. What the mesh writes while it runs is no part of a preview,
// and neither are the Installation and the operator's own notes.
func checkPreview(t *testing.T, r preview.Result, before, after Dump) {
	t.Helper()
	said := map[string]bool{}
	for _, o := range r.Objects {
		said[fmt.Sprintf("%s %s %s/%s", o.Action, strings.ToLower(o.Kind), o.Namespace, o.Name)] = true
	}
	done := map[string]bool{}
	for name := range maps.Clone(after) {
		switch _, existed := before[name]; {
		case !existed:
			done["create "+singular(name)] = true
		case before[name] != after[name]:
			done["change "+singular(name)] = true
		}
	}
	for name := range before {
		if _, exists := after[name]; !exists {
			done["remove "+singular(name)] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(said)) {
		if !done[name] {
			t.Errorf("said, and not done: %s", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(done)) {
		if !said[name] && !writtenByOthers(name) {
			t.Errorf("done, and not said: %s", name)
		}
	}
}

// singular makes "kind namespace/name" of "resource.group namespace/name".
func singular(name string) string {
	resource, rest, _ := strings.Cut(name, " ")
	resource, _, _ = strings.Cut(resource, ".")
	switch {
	case strings.HasSuffix(resource, "ies"):
		resource = strings.TrimSuffix(resource, "ies") + "y"
	default:
		resource = strings.TrimSuffix(resource, "s")
	}
	if !strings.Contains(rest, "/") {
		rest = "/" + rest
	}
	return resource + " " + rest
}

// writtenByOthers are objects of controllers, of the mesh itself and of the test.
func writtenByOthers(name string) bool {
	for _, part := range []string{"installation ", "istio-installation-inventory", "istio-ca-root-cert", "istio-ca-secret", "controllerrevision", "validatingadmissionpolicy", "istio-operator/", "kube-root-ca.crt"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

func dump(t *testing.T) Dump {
	t.Helper()
	d, err := server.Dump(timeout(t, stepTimeout))
	must(t, err)
	return d
}

func previewOf(t *testing.T, spec string) preview.Result {
	t.Helper()
	scheme := runtime.NewScheme()
	must(t, clientgoscheme.AddToScheme(scheme))
	config := rest.CopyConfig(server.Config)
	config.QPS = -1
	// Galley, which nothing runs here, validates what everybody but the operator writes.
	config.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:istio-operator:istio-operator", Groups: []string{"system:masters"}}
	c, err := client.New(config, client.Options{Scheme: scheme})
	must(t, err)
	in := &v1alpha1.Installation{ObjectMeta: metav1.ObjectMeta{Name: "istio-installation", Namespace: "istio-operator"}}
	must(t, json.Unmarshal([]byte(spec), &in.Spec))
	r, err := installation.Preview(timeout(t, stepTimeout), c, testImages(), desired.Components(), in)
	must(t, err)
	return r
}
