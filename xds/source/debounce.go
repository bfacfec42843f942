package source

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	// shortestPause is how long changes gather after a rebuild. The first change after a quiet time waits for nothing.
	shortestPause = 10 * time.Millisecond
	// longestPause bounds the pause after a rebuild that took long.
	longestPause = 500 * time.Millisecond
)

// debounce calls rebuild at once for the first signal after a quiet time. Signals during a rebuild and the pause after it
// become one more rebuild. The pause is as long as the rebuild took, so that a storm of changes takes half a core at most.
func debounce(ctx context.Context, signal <-chan struct{}, rebuild func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-signal:
		}
		start := time.Now()
		rebuild()
		pause := time.NewTimer(min(max(time.Since(start), shortestPause), longestPause))
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
	}
}

// dirtySet remembers which kinds changed since the last rebuild.
type dirtySet struct {
	signal chan struct{}

	mu    sync.Mutex
	kinds changes
}

type changes map[string]bool

func (c changes) names() []string { return slices.Sorted(maps.Keys(c)) }

func newDirtySet() *dirtySet { return &dirtySet{signal: make(chan struct{}, 1), kinds: changes{}} }

func (d *dirtySet) mark(kind string) {
	d.mu.Lock()
	d.kinds[kind] = true
	d.mu.Unlock()
	select {
	case d.signal <- struct{}{}:
	default:
	}
}

func (d *dirtySet) take() changes {
	d.mu.Lock()
	defer d.mu.Unlock()
	taken := d.kinds
	d.kinds = changes{}
	return taken
}
