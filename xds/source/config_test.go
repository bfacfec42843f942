package source

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	security "istio.io/api/security/v1beta1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// TestUndecodableObjectFallback also has one that the decoder panics at, in a goroutine of the informer.
func TestUndecodableObjectFallback(t *testing.T) {
	for says, fails := range map[string]func(){
		"level=WARN":  func() {},
		"level=ERROR": func() { panic("an odd object") },
	} {
		log := &bytes.Buffer{}
		o := Options{Kubernetes: fake.NewClientset(), Logger: slog.New(slog.NewTextHandler(log, nil))}
		f := newConfigFeed(o, istioconfig.VirtualService, func(string) {})
		raw := &unstructured.Unstructured{}
		raw.SetNamespace("a")
		raw.SetName("x")
		good := istioconfig.Object{Kind: istioconfig.VirtualService, Namespace: "a", Name: "x"}
		f.decode = func(*unstructured.Unstructured) (istioconfig.Object, error) { return good, nil }
		f.take(nil, raw)
		f.decode = func(*unstructured.Unstructured) (istioconfig.Object, error) {
			fails()
			return istioconfig.Object{}, errors.New("unreadable")
		}
		f.take(raw, raw)
		var in mesh.Inputs
		if f.fill(&in, true); in.Config.Get(mesh.ConfigName(good)) == nil || !strings.Contains(log.String(), says) {
			t.Errorf("the last version is not there, or the log does not say %s:\n%s", says, log)
		}
	}
}

// TestUndecodablePeerAuthenticationIsStrict has one that is new, one that takes a deleted one's place, and one that is an edit.
func TestUndecodablePeerAuthenticationIsStrict(t *testing.T) {
	disabled := &security.PeerAuthentication{Mtls: &security.PeerAuthentication_MutualTLS{Mode: security.PeerAuthentication_MutualTLS_DISABLE}}
	raw := &unstructured.Unstructured{}
	raw.SetNamespace("a")
	raw.SetName("x")
	raw.SetUID("new")
	for name, c := range map[string]struct {
		before istioconfig.Object
		want   security.PeerAuthentication_MutualTLS_Mode
	}{
		"new":                     {want: security.PeerAuthentication_MutualTLS_STRICT},
		"in another one's place":  {before: istioconfig.Object{UID: "old"}, want: security.PeerAuthentication_MutualTLS_STRICT},
		"a version after another": {before: istioconfig.Object{UID: "new"}, want: security.PeerAuthentication_MutualTLS_DISABLE},
	} {
		f := newConfigFeed(Options{Kubernetes: fake.NewClientset(), Logger: slog.New(slog.DiscardHandler)}, istioconfig.PeerAuthentication, func(string) {})
		if c.before.UID != "" {
			c.before.Kind, c.before.Namespace, c.before.Name, c.before.Spec = istioconfig.PeerAuthentication, "a", "x", disabled
			f.decode = func(*unstructured.Unstructured) (istioconfig.Object, error) { return c.before, nil }
			f.take(nil, raw)
		}
		f.decode = func(*unstructured.Unstructured) (istioconfig.Object, error) {
			return istioconfig.Object{}, errors.New("unreadable")
		}
		f.take(nil, raw)
		var in mesh.Inputs
		f.fill(&in, true)
		if o := in.Config.Get("PeerAuthentication/a/x"); o == nil || o.Spec.(*security.PeerAuthentication).GetMtls().GetMode() != c.want {
			t.Errorf("%s: the policy is %v, want mode %s", name, o, c.want)
		}
	}
}
