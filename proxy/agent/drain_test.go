package agent

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"
)

// drainedEnvoy is an admin interface that reports requests in flight for the first answers.
type drainedEnvoy struct {
	inFlight atomic.Int64
	drained  atomic.Pointer[string]
	drains   atomic.Int64
}

func (e *drainedEnvoy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/drain_listeners":
		query := r.URL.RawQuery
		e.drained.Store(&query)
		e.drains.Add(1)
	case "/stats":
		active := int64(0)
		if e.inFlight.Add(-1) >= 0 {
			active = 1
		}
		fmt.Fprintf(w, `{"stats":[{"name":"http.admin.downstream_rq_active","value":1},{"name":"http.inbound_0.0.0.0_80.downstream_rq_active","value":%d}]}`, active)
	}
}

func newTestDrainer(t *testing.T, role Role, inFlight int64) (*drainer, *drainedEnvoy) {
	t.Helper()
	envoy := &drainedEnvoy{}
	envoy.inFlight.Store(inFlight)
	server := httptest.NewServer(envoy)
	t.Cleanup(server.Close)
	c := Config{Role: role, IPs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, DrainDuration: 50 * time.Millisecond}
	a := newAdmin(portOf(t, server.URL))
	log := slog.New(slog.DiscardHandler)
	return newDrainer(c, a, newHealth(c, a, nil, log), log), envoy
}

func TestDrainWaitsForRequestsInFlight(t *testing.T) {
	d, envoy := newTestDrainer(t, Sidecar, 2)
	d.drain(t.Context())
	if left := envoy.inFlight.Load(); left >= 0 {
		t.Errorf("drained while requests were in flight (%d answers left)", left)
	}
	if got := *envoy.drained.Load(); got != "inboundonly&graceful&skip_exit" {
		t.Errorf("a sidecar drains with %s", got)
	}
	if err := d.health.check(t.Context()); err == nil || err.Error() != "draining" {
		t.Errorf("health says %v", err)
	}
}

func TestDrainTimeout(t *testing.T) {
	d, _ := newTestDrainer(t, Router, 1<<40)
	d.inFlightTimeout = 100 * time.Millisecond
	d.drain(t.Context()) // returns
}

// TestDrainRunsOnce: the hook and SIGTERM wait for the same drain.
func TestDrainRunsOnce(t *testing.T) {
	d, envoy := newTestDrainer(t, Router, 1)
	done := make(chan struct{})
	go func() { d.drain(t.Context()); close(done) }()
	d.drain(t.Context())
	<-done
	if n := envoy.drains.Load(); n != 1 {
		t.Errorf("listeners drained %d times", n)
	}
	if got := *envoy.drained.Load(); got != "graceful&skip_exit" {
		t.Errorf("a gateway drains with %s", got)
	}
}
