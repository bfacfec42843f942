package agent

import (
	"context"
	"sync"
	"time"

	"github.com/mesh-operator/mesh-operator/internal/backoff"
)

// stableAfter is how long a stream lasts that resets the back-off.
const stableAfter = 10 * time.Second

var attemptGrowth = backoff.Growth{First: time.Second, Longest: 30 * time.Second, Factor: 1.5}

// attemptBackoff delays the attempts to connect to pilot: each one is a DNS query and a handshake, and every proxy of the
// mesh makes them while pilot is not reachable. A proxy without configuration serves no requests and does not wait.
type attemptBackoff struct {
	mu         sync.Mutex
	configured bool
	delay      time.Duration
	next       time.Time // of the next attempt
}

// wait returns at the time of the next attempt, or when ctx ends.
func (b *attemptBackoff) wait(ctx context.Context) {
	b.mu.Lock()
	left := time.Until(b.next)
	b.mu.Unlock()
	if left > 0 {
		sleep(ctx, left)
	}
}

// markConfigured notes that the proxy has received configuration.
func (b *attemptBackoff) markConfigured() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.configured = true
}

// forget notes that the proxy has no configuration any more: it was started again.
func (b *attemptBackoff) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.configured, b.delay, b.next = false, 0, time.Time{}
}

// reset notes a stable stream: the next delay is the first one.
func (b *attemptBackoff) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.delay = 0
}

// schedule sets the time of the next attempt after a failed one or the end of a stream. The delay is random between half of
// the back-off and all of it, so that proxies that lost pilot at the same time do not reconnect at the same time.
func (b *attemptBackoff) schedule() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.configured {
		return
	}
	b.delay = attemptGrowth.Next(b.delay)
	b.next = time.Now().Add(backoff.Spread(b.delay*3/4, 1.0/3))
}
