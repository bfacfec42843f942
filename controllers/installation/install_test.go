package installation

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/yaml"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
	"github.com/mesh-operator/mesh-operator/controllers/installation/kinds"
	"github.com/mesh-operator/mesh-operator/controllers/installation/report"
	"github.com/mesh-operator/mesh-operator/controllers/installation/watch"
	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// reconciler returns one whose API server holds objects, and whose watches have seen nothing yet.
func reconciler(t *testing.T, objects ...client.Object) *Reconciler {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	r := &Reconciler{
		Client:    fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build(),
		Watch:     watch.New(nil, nil, slog.New(slog.DiscardHandler)),
		Catalog:   desired.Components(),
		Log:       slog.New(slog.DiscardHandler),
		Namespace: owner.OperatorNamespace,
	}
	r.mesh = newMemory(r)
	return r
}

func plan(t *testing.T, spec string, roots bool) desired.Plan {
	t.Helper()
	in := desired.Input{Spec: &v1alpha1.InstallationSpec{}, Catalog: desired.Components()}
	if err := yaml.UnmarshalStrict([]byte(spec), in.Spec); err != nil {
		t.Fatal(err)
	}
	if roots {
		in.Facts.Roots = []byte("a root")
	}
	plan, err := desired.Build(in)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// TestRequeueWhileForeignDefinitionIsNotEstablished: no watch has an event when a definition of others is established.
func TestRequeueWhileForeignDefinitionIsNotEstablished(t *testing.T) {
	name := "peerauthentications.security.istio.io"
	r := reconciler(t, &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: name}})
	r.CRDs = func() ([]*unstructured.Unstructured, error) {
		definition := &unstructured.Unstructured{}
		definition.SetGroupVersionKind(kinds.Must(kinds.CRDGroup, "CustomResourceDefinition").GroupVersionKind)
		definition.SetName(name)
		return []*unstructured.Unstructured{definition}, nil
	}
	r.mesh = newMemory(r)
	out := report.Outcome{}
	if err := r.applyPlan(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	if out.Waiting != "CustomResourceDefinition "+name+" to be established" || retryAfter(out) == 0 {
		t.Errorf("waiting for %q, repeated after %s", out.Waiting, retryAfter(out))
	}
}

// TestBootstrapChangesAreRecorded, so that there is an Event when the operator's access was restored.
func TestBootstrapChangesAreRecorded(t *testing.T) {
	r := reconciler(t)
	for range 2 {
		if _, err := r.mesh.writer.AnnounceAndApply(t.Context(), r.mesh.writer.AccessObject()); err != nil {
			t.Fatal(err)
		}
		if err := r.Client.Delete(t.Context(), r.mesh.writer.AccessObject()); err != nil {
			t.Fatal(err)
		}
	}
	var got []apply.Action
	for _, change := range r.mesh.writer.DrainChanges() {
		got = append(got, change.Action)
	}
	if diff := cmp.Diff([]apply.Action{apply.Created, apply.Restored}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestWebhookNames compares the names that are checked from the beginning with the webhooks of a mesh that has its roots.
func TestWebhookNames(t *testing.T) {
	for _, spec := range []string{"{}", "components: {galley: {enabled: false}}", "components: {sidecarInjector: {enabled: false}}"} {
		want, got := map[apply.Ref]bool{}, map[apply.Ref]bool{}
		p := plan(t, spec, true)
		for _, object := range p.Objects() {
			if ref := apply.RefOf(object); strings.HasSuffix(ref.Kind, "WebhookConfiguration") {
				want[ref] = true
			}
		}
		for _, object := range webhookNames(p) {
			got[apply.RefOf(object)] = true
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", spec, diff)
		}
	}
}

// TestRootsMissingMessage: a disabled citadel is named as the reason.
func TestRootsMissingMessage(t *testing.T) {
	for spec, want := range map[string]string{
		"{}": "citadel to publish the roots of trust",
		"components: {citadel: {enabled: false}}": "the roots of trust, which nobody publishes while spec.components.citadel.enabled is false",
	} {
		if got := rootsMissingMessage(plan(t, spec, false)); got != want {
			t.Errorf("%s: waiting for %q, want %q", spec, got, want)
		}
	}
}
