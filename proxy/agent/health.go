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

// health answers on the agent's open port: an exact list of paths, each of which only reads.
type health struct {
	admin    *admin
	client   *certclient.Client
	probes   map[string]Probe
	prober   *prober
	merge    *merger
	counters *counters
	log      *slog.Logger

	envoy    atomic.Bool // Envoy has been started
	ready    atomic.Bool // it was ready once
	draining atomic.Bool
}

func newHealth(c Config, a *admin, client *certclient.Client, log *slog.Logger) *health {
	p, n := newProber(c.IPs[0]), newCounters()
	return &health{admin: a, client: client, probes: c.Probes, prober: p, merge: newMerger(a, p, c.Metrics, n, log), counters: n, log: log}
}

// open is the handler of the port that everybody reaches.
func (h *health) open() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz/ready", h.serveReady)
	mux.Handle("GET /stats/prometheus", h.merge)
	for path, probe := range h.probes {
		failures := newFailureLog(h.log.With("path", path), "application's probe fails", "application's probe passes again",
			h.counters.probes.WithLabelValues(path))
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

// check asks Envoy until it was ready once. After that only draining makes the pod unready: a proxy that keeps its last
// good configuration while pilot is away serves well.
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

var errNotStarted = errors.New("envoy is being started")

// report logs what is missing as long as something is: the kubelet, which asks through Envoy, can't tell.
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

// serveProbe tells the kubelet pass or fail and the reason, but nothing of what the application answered: this port is
// open, the application's may not be. The cause stands in the log.
func (h *health) serveProbe(w http.ResponseWriter, r *http.Request, probe Probe, failures *failureLog) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(probe.timeout() + 10*time.Second))
	err := h.prober.ask(r, probe)
	failures.record(err)
	if err != nil {
		http.Error(w, "the application's probe fails: "+reason(err), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}
