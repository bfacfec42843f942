package agent

import (
	"context"
	"slices"
	"time"
)

// The agent starts a killed Envoy this often within the window. After that it ends, and the kubelet restarts the container
// with its own back-off, which starts at about ten seconds: too long for the clients of a gateway with one replica.
const (
	maxRestarts   = 5
	restartWindow = 10 * time.Minute
)

// restarts limits how often Envoy is started again.
type restarts struct{ times []time.Time }

// next returns the delay before the next start: none, then 1, 2, 4 and 8 s. It returns false when the limit is reached.
func (r *restarts) next(now time.Time) (time.Duration, bool) {
	r.times = slices.DeleteFunc(r.times, func(t time.Time) bool { return now.Sub(t) > restartWindow })
	n := len(r.times)
	if n >= maxRestarts {
		return 0, false
	}
	r.times = append(r.times, now)
	if n == 0 {
		return 0, true
	}
	return time.Second << (n - 1), true
}

// superviseEnvoy starts Envoy, and again when a signal has ended it: the kernel's for want of memory, or its own after a crash
// or a hang (watchdogs). An Envoy that exits was stopped, or refuses its bootstrap: that is an error. It returns the running
// Envoy when ctx ends, nil if none is running then.
func (a *agent) superviseEnvoy(ctx context.Context) (*process, error) {
	var r restarts
	for ctx.Err() == nil {
		envoy, err := startEnvoy(a.o.Config, a.o.Output, a.log)
		if err != nil {
			return nil, err
		}
		a.health.envoy.Store(true)
		err = envoy.wait(ctx)
		if err == nil {
			return envoy, nil
		}
		delay, ok := r.next(time.Now())
		if !ok || !envoy.killed() {
			return nil, err
		}
		a.log.Error("envoy was killed, starting it again", "state", envoy.cmd.ProcessState.String(), "delay", delay)
		a.health.ready.Store(false)
		a.xds.backoff.forget()
		sleep(ctx, delay)
	}
	return nil, nil
}
