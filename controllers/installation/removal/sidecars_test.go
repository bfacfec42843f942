package removal

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// TestFinalEventsNameTheNextStep for whatever stays with running sidecars.
func TestFinalEventsNameTheNextStep(t *testing.T) {
	made := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{UID: "1", Annotations: map[string]string{owner.AnnotationKept: "1"}}}
	cases := map[string]struct {
		removal removal
		want    string // how the message ends; empty: no Event
	}{
		"NoSidecars":     {removal: removal{namespace: made}},
		"NoRoot":         {removal{sidecarPods: []string{"a/b"}}, "apply the manifest without the sidecar)"},
		"OurNamespace":   {removal{sidecarPods: []string{"a/b"}, rootKept: true, namespace: made}, "run kubectl delete namespace istio-system"},
		"WithUserThings": {removal{sidecarPods: []string{"a/b"}, rootKept: true, namespace: made, namespaceKept: true}, "run kubectl delete secret -n istio-system istio-ca-secret"},
		"UsersNamespace": {removal{sidecarPods: []string{"a/b"}, rootKept: true, namespace: &metav1.PartialObjectMetadata{}}, "run kubectl delete secret -n istio-system istio-ca-secret"},
	}
	for name, c := range cases {
		events := c.removal.finalEvents()
		switch {
		case c.want == "" && len(events) == 0:
		case len(events) != 1 || events[0].Reason != "SidecarsRunning" || !strings.HasSuffix(events[0].Message, c.want):
			t.Errorf("%s: %v, want one that ends with %q", name, events, c.want)
		}
	}
}

// TestCopyOfAKeptObjectIsNotOurs: who keeps a copy of the root keeps it when the mesh's namespace goes.
func TestCopyOfAKeptObjectIsNotOurs(t *testing.T) {
	kept := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{UID: "1", Annotations: map[string]string{owner.AnnotationKept: "1"}}}
	duplicate := kept.DeepCopy()
	duplicate.UID = "2"
	if !ours(kept) || ours(duplicate) {
		t.Errorf("the kept one is ours: %t, want true; its copy is: %t, want false", ours(kept), ours(duplicate))
	}
}
