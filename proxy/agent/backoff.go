package agent

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	firstDelay   = time.Second
	longestDelay = 30 * time.Second
	stableAfter  = 10 * time.Second // a stream that lasts as long is no attempt any more
)

// pace spaces the attempts to reach pilot: each one is a look-up of its name and a handshake, and every proxy of the mesh makes
// them while pilot is away. A proxy without any configuration serves nobody and does not wait.
type attemptBackoff struct {
	mu         sync.Mutex
	configured bool
	delay      time.Duration
	next       time.Time // no attempt before
}

// wait returns when the next attempt may be made, or when ctx ends.
func (b *attemptBackoff) wait(ctx context.Context) {
	b.mu.Lock()
	left := time.Until(b.next)
	b.mu.Unlock()
	if left > 0 {
		sleep(ctx, left)
	}
}

// heard notes that there was configuration.
func (b *attemptBackoff) markConfigured() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.configured = true
}

// lasts notes that an attempt succeeded: the next pause is a short one.
func (b *attemptBackoff) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.delay = 0
}

// ended notes the end of an attempt, or of a stream. The pause is between half of the back-off and all of it, so that proxies
// which lost pilot at the same moment do not come back at one.
func (b *attemptBackoff) schedule() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.configured {
		return
	}
	b.delay = min(max(firstDelay, b.delay*3/2), longestDelay)
	b.next = time.Now().Add(b.delay - rand.N(b.delay/2))
}
