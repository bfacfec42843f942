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
var lifecycle = []struct {
	name string
	run  func(t *testing.T)
	done func(ctx context.Context) error
}{
	{"install", func(t *testing.T) { t.Helper(); create(t, threeGateways) }, func(ctx context.Context) error { return server.InstallationReady(ctx) }},
	{"change", func(t *testing.T) { t.Helper(); change(t, `{"spec": {"gateways": null}}`) }, func(ctx context.Context) error { return server.InstallationReady(ctx) }},
	{"removal", func(t *testing.T) { t.Helper(); remove(t) }, installationGone},
}

// threeGateways asks for a gateway beyond the two usual ones, in a namespace of its own user.
var threeGateways = map[string]any{"gateways": []any{map[string]any{"name": "third"}}}

const stepTimeout = 90 * time.Second

// lifecycleResult is what there is before a story and after each act of it.
type lifecycleResult struct {
	before Dump
	after  map[string]Dump
	writes map[string]int
}

// runLifecycle plays a story without faults.
func runLifecycle(t *testing.T, o *operator) lifecycleResult {
	t.Helper()
	out := lifecycleResult{after: map[string]Dump{}, writes: map[string]int{}}
	var err error
	out.before, err = server.Dump(timeout(t, time.Minute))
	must(t, err)
	for _, scene := range lifecycle {
		o.current().FaultFunc(nil)
		scene.run(t)
		must(t, scene.done(timeout(t, stepTimeout)))
		waitIdle(t, o)
		out.writes[scene.name] = len(o.current().Writes())
		out.after[scene.name], err = server.Dump(timeout(t, time.Minute))
		must(t, err)
	}
	if diff := cmp.Diff(out.before, out.after["removal"]); diff != "" {
		t.Fatalf("before the install and after the removal (-before +after):\n%s", diff)
	}
	return out
}

// replayLifecycle plays the story again, with begin called before each act, and compares.
func replayLifecycle(t *testing.T, first lifecycleResult, begin func(run string)) {
	t.Helper()
	for _, scene := range lifecycle {
		begin(scene.name)
		scene.run(t)
		if err := errors.Join(scene.done(timeout(t, stepTimeout)), waitSameState(timeout(t, 20*time.Second), first.after[scene.name])); err != nil {
			t.Fatalf("%s: %v", scene.name, err)
		}
	}
}

// waitSameState waits until everything is as in want.
func waitSameState(ctx context.Context, want Dump) error {
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

// reconcileOnce makes the operator look at everything once and returns what that wrote. An annotation starts a reconcile, the
// first thing of which is to read the Installation; when the read of a second one is there, the first has ended.
func reconcileOnce(t *testing.T, o *operator) []string {
	t.Helper()
	before := len(o.current().Writes())
	for range 2 {
		reads := count(o.current().Reads(), "GET "+installationPath)
		change(t, fmt.Sprintf(`{"metadata": {"annotations": {"looked-at": "%d"}}}`, time.Now().UnixNano()))
		must(t, lab.Until(timeout(t, 20*time.Second), "the operator looks again", func(context.Context) error {
			if count(o.current().Reads(), "GET "+installationPath) == reads {
				return errors.New("it has not")
			}
			return nil
		}))
	}
	change(t, `{"metadata": {"annotations": {"looked-at": null}}}`)
	return o.current().Writes()[before:]
}

// waitIdle waits until a look at everything writes nothing any more, if there is a mesh.
func waitIdle(t *testing.T, o *operator) {
	t.Helper()
	for range 10 {
		if _, err := server.Installation(t.Context()); err != nil || len(reconcileOnce(t, o)) == 0 {
			return
		}
	}
	t.Errorf("the operator never rests; it wrote %q", reconcileOnce(t, o))
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
