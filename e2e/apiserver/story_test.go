package apiserver

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// A story is the life of a mesh in three acts. What is there after each of them must not depend on what went wrong meanwhile.
var story = []struct {
	name string
	act  func(t *testing.T)
	over func(ctx context.Context) error
}{
	{"install", func(t *testing.T) { t.Helper(); create(t, threeGateways) }, func(ctx context.Context) error { return server.InstallationReady(ctx) }},
	{"change", func(t *testing.T) { t.Helper(); change(t, `{"spec": {"gateways": null}}`) }, func(ctx context.Context) error { return server.InstallationReady(ctx) }},
	{"removal", func(t *testing.T) { t.Helper(); remove(t) }, isGone},
}

// threeGateways asks for a gateway beyond the two usual ones, in a namespace of its own user.
var threeGateways = map[string]any{"gateways": []any{map[string]any{"name": "third"}}}

const actLimit = 90 * time.Second

// told is what there is before a story and after each act of it.
type told struct {
	before Dump
	after  map[string]Dump
	writes map[string]int
}

// tell plays a story without faults.
func tell(t *testing.T, o *operator) told {
	t.Helper()
	out := told{after: map[string]Dump{}, writes: map[string]int{}}
	var err error
	out.before, err = server.Dump(within(t, time.Minute))
	must(t, err)
	for _, scene := range story {
		o.current().Judge(nil)
		scene.act(t)
		must(t, scene.over(within(t, actLimit)))
		settle(t, o)
		out.writes[scene.name] = len(o.current().Writes())
		out.after[scene.name], err = server.Dump(within(t, time.Minute))
		must(t, err)
	}
	if diff := cmp.Diff(out.before, out.after["removal"]); diff != "" {
		t.Fatalf("before the install and after the removal (-before +after):\n%s", diff)
	}
	return out
}

// retell plays the story again, with begin called before each act, and compares.
func retell(t *testing.T, first told, begin func(act string)) {
	t.Helper()
	for _, scene := range story {
		begin(scene.name)
		scene.act(t)
		if err := errors.Join(scene.over(within(t, actLimit)), same(within(t, 20*time.Second), first.after[scene.name])); err != nil {
			t.Fatalf("%s: %v", scene.name, err)
		}
	}
}

// same waits until everything is as in want.
func same(ctx context.Context, want Dump) error {
	return lab.Until(ctx, "all objects are as without faults", func(ctx context.Context) error {
		got, err := server.Dump(ctx)
		if err != nil {
			return err
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("-without +with faults:\n%s", diff)
		}
		return nil
	})
}

const installationPath = "/apis/istio.openshift.com/v1alpha1/namespaces/istio-operator/installations/istio-installation"

// reconciled makes the operator look at everything once and returns what that wrote. An annotation starts a reconcile, the
// first thing of which is to read the Installation; when the read of a second one is there, the first has ended.
func reconciled(t *testing.T, o *operator) []string {
	t.Helper()
	before := len(o.current().Writes())
	for range 2 {
		reads := count(o.current().Reads(), "GET "+installationPath)
		change(t, fmt.Sprintf(`{"metadata": {"annotations": {"looked-at": "%d"}}}`, time.Now().UnixNano()))
		must(t, lab.Until(within(t, 20*time.Second), "the operator looks again", func(context.Context) error {
			if count(o.current().Reads(), "GET "+installationPath) == reads {
				return errors.New("it has not")
			}
			return nil
		}))
	}
	change(t, `{"metadata": {"annotations": {"looked-at": null}}}`)
	return o.current().Writes()[before:]
}

// settle waits until a look at everything writes nothing any more, if there is a mesh.
func settle(t *testing.T, o *operator) {
	t.Helper()
	for range 10 {
		if _, err := server.Installation(t.Context()); err != nil || len(reconciled(t, o)) == 0 {
			return
		}
	}
	t.Errorf("the operator never rests; it wrote %q", reconciled(t, o))
}

func count(all []string, one string) int {
	n := 0
	for _, s := range all {
		if s == one {
			n++
		}
	}
	return n
}
