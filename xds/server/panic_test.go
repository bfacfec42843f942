package server

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/scope"
)

// watched is a server with its log and the proxies of sharingMesh x-0 and y-0.
type watched struct {
	*Server
	log      bytes.Buffer
	registry *prometheus.Registry
	x, y     *connection
}

func watch(t *testing.T, snapshot *mesh.Snapshot) *watched {
	t.Helper()
	w := &watched{registry: prometheus.NewRegistry()}
	w.Server = New(slog.New(slog.NewTextHandler(&w.log, nil)), w.registry)
	w.Publish(snapshot)
	for name, c := range map[string]**connection{"x-0": &w.x, "y-0": &w.y} {
		proxy, ok := snapshot.Proxy("a", name)
		if !ok {
			t.Fatalf("no pod %s", name)
		}
		*c = newConnection(*proxy)
		w.attach(*c)
	}
	return w
}

// errors are what /debug/syncz says of x-0 and y-0.
func (w *watched) errors(t *testing.T) (x, y string) {
	t.Helper()
	answer := httptest.NewRecorder()
	w.ServeSync(answer, nil)
	var lines []struct {
		Error string `json:"internal_error"`
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &lines); err != nil || len(lines) != 2 {
		t.Fatalf("answer %s, error %v", answer.Body, err)
	}
	return lines[0].Error, lines[1].Error
}

func (w *watched) counted(t *testing.T) float64 {
	t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "pilot_total_xds_internal_errors" {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatal("panics are not counted")
	return 0
}

// publishPanicking publishes a snapshot of which the work for the proxy x-0 panics.
func (w *watched) publishPanicking(s *mesh.Snapshot) {
	v := w.nextViews(s)
	proxy, _ := s.Proxy("a", "x-0")
	key := v.scopes.Scope(scope.ClassOf(*proxy)).Key()
	mesh.Guarded(mesh.Pilot, func() { v.outputs.Get(key, func(**output) *output { panic("an odd mesh") }) })
	w.publish(v)
}

// TestPanicAffectsOneProxy publishes a mesh that one of two proxies cannot be configured for.
func TestPanicAffectsOneProxy(t *testing.T) {
	in := sharingMesh()
	good := mesh.Build(nil, in)
	w := watch(t, good)
	kept, before := w.x.update.resources(), w.y.update.resources()

	mesh.Add(&in.EndpointSlices, someSlice(metav1.ObjectMeta{Namespace: "a", Name: "x", CreationTimestamp: metav1.Unix(1, 0)}, 3))
	odd := mesh.Build(good, in)
	w.publishPanicking(odd)
	if w.x.update.resources() != kept || w.y.update.resources() == before {
		t.Error("want the one proxy to keep what it has, and the other to have the new mesh")
	}
	if x, y := w.errors(t); x != "internal error: an odd mesh" || y != "" {
		t.Errorf("/debug/syncz says %q and %q, want the panic of the first only", x, y)
	}
	if synced := w.Synced(); len(synced) != 1 || !synced[mesh.Name{Namespace: "a", Name: "y-0"}] {
		t.Errorf("in step are %v, want y-0 only", synced)
	}
	late := newConnection(w.x.proxy)
	if w.attach(late); late.update.resources() != nil {
		t.Error("a proxy that connects is told something")
	}
	w.detach(late)
	if n := w.counted(t); n != 2 {
		t.Errorf("%v panics are counted, want 2", n)
	}
	if n := strings.Count(w.log.String(), "level=ERROR"); n != 1 || !strings.Contains(w.log.String(), "publishPanicking") {
		t.Errorf("the place of the panic is logged %d times, want once:\n%s", n, &w.log)
	}

	mesh.Add(&in.EndpointSlices, someSlice(metav1.ObjectMeta{Namespace: "a", Name: "x", CreationTimestamp: metav1.Unix(1, 0)}, 4))
	w.Publish(mesh.Build(odd, in))
	if x, _ := w.errors(t); x != "" || w.x.update.resources() == kept {
		t.Errorf("after the next change the proxy is still left behind: %q", x)
	}
}

// TestPanicOutlivesOlderGeneration: a proxy connects while a mesh is published that it cannot be configured for, and
// is given the one before after that.
func TestPanicOutlivesOlderGeneration(t *testing.T) {
	in := sharingMesh()
	good := mesh.Build(nil, in)
	w := watch(t, good)
	odd := mesh.Build(good, in)
	w.guard(w.x, w.generation, func() { w.publishPanicking(odd) })
	if x, _ := w.errors(t); x != "internal error: an odd mesh" || len(w.Synced()) != 1 {
		t.Errorf("/debug/syncz says %q of it, and %d proxies are in step, want the panic and the other one", x, len(w.Synced()))
	}
	w.Publish(mesh.Build(odd, in))
	if x, _ := w.errors(t); x != "" {
		t.Errorf("after the next mesh /debug/syncz says %q", x)
	}
}

// TestBuildFailureIsReported names it at every proxy until there is one that can.
func TestBuildFailureIsReported(t *testing.T) {
	good := mesh.Build(nil, sharingMesh())
	w := watch(t, good)
	w.BuildFailed(*mesh.Guarded(mesh.Pilot, func() { panic("an odd mesh") }))
	if x, y := w.errors(t); x != "internal error: an odd mesh" || y != x {
		t.Errorf("/debug/syncz says %q and %q, want the panic twice", x, y)
	}
	if synced := w.Synced(); len(synced) != 0 {
		t.Errorf("in step are %v, want nobody", synced)
	}
	w.Publish(mesh.Build(good, sharingMesh()))
	if x, y := w.errors(t); x+y != "" || len(w.Synced()) != 2 {
		t.Errorf("after the next mesh /debug/syncz says %q and %q", x, y)
	}
}

type anonymousStream struct{ grpc.ServerStream }

func (anonymousStream) Context() context.Context { return context.Background() }

// TestPanicEndsOneStream has a request that the server panics at.
func TestPanicEndsOneStream(t *testing.T) {
	w := watch(t, mesh.Build(nil, sharingMesh()))
	panics := func(any, grpc.ServerStream) error { panic("an odd request") }
	err := w.authenticate(byNode)(nil, anonymousStream{}, &grpc.StreamServerInfo{}, panics)
	if status.Code(err) != codes.Internal || w.counted(t) != 1 {
		t.Errorf("the stream ends with %v, want an internal error that is counted", err)
	}
}
