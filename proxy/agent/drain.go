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

// inFlightTimeout is how long requests in flight may take after the drain duration. With the default drain duration of 5 s
// they end before the kubelet's default grace period of 30 s; the operator extends the grace period of a gateway's pod with its
// drain duration.
const inFlightTimeout = 15 * time.Second

// drainer drains the proxy once. The pod's preStop hook or SIGTERM starts it, whichever comes first.
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

// drain makes the pod unready and asks clients to close their connections. It then waits for the drain duration, because
// removing the endpoint takes that long to reach all clients, and after that for the requests in flight. A sidecar that never
// had a connection, such as a Job's, skips the drain duration: the kubelet stops it after the application, so the wait would
// only delay the end of the pod.
func (d *drainer) drain(ctx context.Context) {
	d.once.Do(func() {
		defer close(d.done)
		d.health.draining.Store(true)
		d.log.Info("draining", "duration", d.duration)
		if err := d.admin.drainListeners(ctx, d.role); err != nil {
			d.log.Warn("draining the listeners failed", "error", err)
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
	d.log.Warn("requests or connections still in flight after draining", "open", last)
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// commands is the handler of the loopback port, which changes the proxy's state. stop ends the agent.
func (d *drainer) commands(stop context.CancelFunc) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /drain", func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // draining may take longer than the server's write timeout
		d.drain(context.WithoutCancel(r.Context()))                     // a hook that is cancelled does not cancel the drain
		fmt.Fprintln(w, "drained")
	})
	mux.HandleFunc("POST /quitquitquit", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "stopping")
		stop()
	})
	return mux
}

// Drain is the preStop hook: it sends POST /drain to the agent of this pod and returns when the proxy has drained.
func Drain(ctx context.Context, port uint32) error {
	url := fmt.Sprintf("http://127.0.0.1:%d/drain", port)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("request a drain from the agent: %w", err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 1<<10))
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("request a drain from the agent: status %s", response.Status)
	}
	return nil
}
