package agent

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// inFlightTimeout is how long what is under way may go on after the drain duration. With the default of 5 s for that they end before
// the kubelet's default of 30 s; the operator gives a gateway's pod as much more time as its drain duration is longer.
const inFlightTimeout = 15 * time.Second

// drainer lets the proxy go quiet, once, whoever asks first: the pod's preStop hook or SIGTERM.
type drainer struct {
	admin           *admin
	role            Role
	inbound         uint32 // port
	duration        time.Duration
	inFlightTimeout time.Duration
	health          *health
	log             *slog.Logger

	once sync.Once
	done chan struct{}
}

func newDrainer(c Config, a *admin, h *health, log *slog.Logger) *drainer {
	return &drainer{
		admin: a, role: c.Role, inbound: c.Ports.Inbound, duration: c.DrainDuration, inFlightTimeout: inFlightTimeout, health: h, log: log,
		done: make(chan struct{}),
	}
}

// drain makes the pod unready and asks clients to leave, then waits: the whole drain duration, because the news that this
// endpoint is gone takes that long to reach everybody who might still call it, and after that until nothing is under way. A
// sidecar that nobody has ever called, such as a Job's, has nobody to wait for, and the kubelet does not end it before the
// application: the pod would only last longer.
func (d *drainer) drain(ctx context.Context) {
	d.once.Do(func() {
		defer close(d.done)
		d.health.draining.Store(true)
		d.log.Info("draining", "duration", d.duration)
		if err := d.admin.drainListeners(ctx, d.role); err != nil {
			d.log.Warn("listeners not drained", "error", err)
			return
		}
		if d.role != Sidecar || d.admin.hadConnections(ctx, d.inbound) {
			sleep(ctx, d.duration)
		}
		d.waitIdle(ctx)
	})
	<-d.done
}

func (d *drainer) waitIdle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, d.inFlightTimeout)
	defer cancel()
	var last uint64
	for ctx.Err() == nil {
		n, err := d.admin.inFlight(ctx, d.role)
		if err != nil || n == 0 {
			return
		}
		last = n
		sleep(ctx, 200*time.Millisecond)
	}
	d.log.Warn("requests or connections are still open after draining", "open", last)
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// commands is the handler of the loopback port: what changes the proxy. stop ends the agent.
func (d *drainer) commands(stop context.CancelFunc) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /drain", func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // as long as the drain duration says
		d.drain(context.WithoutCancel(r.Context()))                     // a hook that gave up does not undo it
		fmt.Fprintln(w, "drained")
	})
	mux.HandleFunc("POST /quitquitquit", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "stopping")
		stop()
	})
	return mux
}

// Drain asks the agent of this pod to drain and returns when it has: the preStop hook.
func Drain(ctx context.Context, port uint32) error {
	url := fmt.Sprintf("http://127.0.0.1:%d/drain", port)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("ask the agent to drain: %w", err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<10))
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("ask the agent to drain: it answers %s", response.Status)
	}
	return nil
}
