package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/mesh-operator/mesh-operator/internal/certclient"
)

// health serves the agent's open port: a fixed list of read-only paths.
type health struct {
	admin    *admin
	client   *certclient.Client
	probes   map[string]Probe
	prober   *prober
	merge    *merger
	counters *counters
	log      *slog.Logger

	envoy    atomic.Bool // Envoy was started
	ready    atomic.Bool // Envoy was ready once
	draining atomic.Bool
}

func newHealth(c Config, a *admin, client *certclient.Client, log *slog.Logger) *health {
	p, n := newProber(c.IPs[0]), newCounters()
	return &health{admin: a, client: client, probes: c.Probes, prober: p, merge: newMerger(c.ownWorkload(), a, p, c.Metrics, n, log), counters: n, log: log}
}

// open is the handler of the open port.
func (h *health) open() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz/ready", h.serveReady)
	mux.Handle("GET /stats/prometheus", h.merge)
	for path, probe := range h.probes {
		if hook := hookPath.FindStringSubmatch(path); hook != nil {
			log := h.log.With("path", hook[1]) // without the secret
			mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) { h.serveHook(w, r, probe, log) })
			continue
		}
		failures := newFailureLog(h.log.With("path", path), "probe of the application fails", "probe of the application succeeds again",
			h.counters.probes.with(path))
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) { h.serveProbe(w, r, probe, failures) })
	}
	return mux
}

func (h *health) serveReady(w http.ResponseWriter, r *http.Request) {
	if err := h.check(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// check queries Envoy until it was ready once. After that only draining makes the pod unready: while pilot is not reachable
// the proxy serves with its last configuration.
func (h *health) check(ctx context.Context) error {
	switch {
	case h.draining.Load():
		return errors.New("draining")
	case h.ready.Load():
		return nil
	case !h.envoy.Load():
		return cmp.Or(h.client.CheckReady(), errNotStarted)
	}
	if err := h.admin.checkReady(ctx); err != nil {
		return err
	}
	if h.ready.CompareAndSwap(false, true) {
		h.log.Info("proxy is ready")
	}
	return nil
}

var errNotStarted = errors.New("envoy is starting")

// report logs why the proxy is not ready until it is. The kubelet probes through Envoy and does not get the reason.
func (h *health) report(ctx context.Context) {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if h.ready.Load() {
				return
			}
			if err := h.check(ctx); err != nil {
				h.log.Info("proxy is not ready yet", "reason", err)
			}
		}
	}
}

// serveProbe returns success or failure with a public reason. The application's response is not part of it, because this port
// is open and the application's port may not be. The log has the cause.
func (h *health) serveProbe(w http.ResponseWriter, r *http.Request, probe Probe, failures *failureLog) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(probe.timeout() + 10*time.Second))
	err := h.prober.run(r, probe)
	failures.record(err)
	if err != nil {
		http.Error(w, "the probe of the application fails: "+reason(err), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// hookTimeout is longer than any hook: the kubelet ends preStop hooks with the grace period of the pod, postStart hooks never.
const hookTimeout = 24 * time.Hour

// serveHook runs a lifecycle hook of the application. For the kubelet a hook succeeds when there is an answer, whatever its
// status, so one without an answer must get none: the connection is closed.
func (h *health) serveHook(w http.ResponseWriter, r *http.Request, hook Probe, log *slog.Logger) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	hook.TimeoutSeconds = int32(hookTimeout.Seconds())
	err := h.prober.run(r, hook)
	if answered := publicError(""); err != nil && !errors.As(err, &answered) {
		log.Warn("hook of the application fails", "error", err)
		panic(http.ErrAbortHandler)
	}
	fmt.Fprintln(w, "ok")
}
