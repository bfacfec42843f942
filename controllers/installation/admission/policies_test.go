package admission

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// TestAdmissionPoliciesAreRestored: the operator outlives a cluster that is not ready for its policies, and puts back those that somebody
// deletes.
func TestAdmissionPoliciesAreRestored(t *testing.T) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		api := fake.NewClientBuilder().WithScheme(scheme).Build()
		count := func() int {
			synctest.Wait()
			var list admissionv1.ValidatingAdmissionPolicyList
			if err := api.List(ctx, &list); err != nil {
				t.Fatal(err)
			}
			return len(list.Items)
		}
		go func() { _ = NewPolicies(api, owner.OperatorNamespace, nil, slog.New(slog.DiscardHandler)).Start(ctx) }() // ends with ctx
		if got := count(); got != 0 {
			t.Fatalf("%d policies without the definition that owns them", got)
		}
		definition := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "installations.istio.openshift.com", UID: "u"}}
		if err := api.Create(ctx, definition); err != nil {
			t.Fatal(err)
		}
		<-time.After(retryInterval)
		if got := count(); got != 4 {
			t.Fatalf("%d policies, want 4", got)
		}
		if err := api.DeleteAllOf(ctx, &admissionv1.ValidatingAdmissionPolicy{}); err != nil {
			t.Fatal(err)
		}
		<-time.After(applyInterval)
		if got := count(); got != 4 {
			t.Errorf("%d policies after somebody deleted them, want 4", got)
		}
	})
}
