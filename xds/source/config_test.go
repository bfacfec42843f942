package source

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// TestAnObjectThatCannotBeReadKeepsItsLastVersion also has one that the decoder panics at, in a goroutine of the informer.
func TestAnObjectThatCannotBeReadKeepsItsLastVersion(t *testing.T) {
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
