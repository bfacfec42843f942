package agent

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	firstPause   = time.Second
	longestPause = 30 * time.Second
	steady       = 10 * time.Second // a stream that lasts as long is no attempt any more
)

// pace spaces the attempts to reach pilot: each one is a look-up of its name and a handshake, and every proxy of the mesh makes
// them while pilot is away. A proxy without any configuration serves nobody and does not wait.
type pace struct {
	mu         sync.Mutex
	configured bool
	backoff    time.Duration
	next       time.Time // no attempt before
}

// wait returns when the next attempt may be made, or when ctx ends.
func (p *pace) wait(ctx context.Context) {
	p.mu.Lock()
	left := time.Until(p.next)
	p.mu.Unlock()
	if left > 0 {
		pause(ctx, left)
	}
}

// heard notes that there was configuration.
func (p *pace) heard() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.configured = true
}

// lasts notes that an attempt succeeded: the next pause is a short one.
func (p *pace) lasts() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.backoff = 0
}

// ended notes the end of an attempt, or of a stream. The pause is between half of the back-off and all of it, so that proxies
// which lost pilot at the same moment do not come back at one.
func (p *pace) ended() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.configured {
		return
	}
	p.backoff = min(max(firstPause, p.backoff*3/2), longestPause)
	p.next = time.Now().Add(p.backoff - rand.N(p.backoff/2))
}
