package source

import (
	"maps"
	"slices"
	"sync"
)

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
