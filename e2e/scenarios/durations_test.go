package scenarios

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// durations is how long each scenario of this run took, without the time that it waited for others.
var durations durationTable

type durationTable struct {
	mu      sync.Mutex
	entries []durationEntry
}

type durationEntry struct {
	name string
	took time.Duration
}

// measure records how long the scenario takes from now until its last cleanup.
func (d *durationTable) measure(t *testing.T) {
	t.Helper()
	started := time.Now()
	t.Cleanup(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.entries = append(d.entries, durationEntry{t.Name(), time.Since(started)})
	})
}

// write saves one "seconds name" a line, the slowest first.
func (d *durationTable) write(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	slices.SortFunc(d.entries, func(a, b durationEntry) int { return cmp.Compare(b.took, a.took) })
	var out strings.Builder
	for _, e := range d.entries {
		fmt.Fprintf(&out, "%.0f %s\n", e.took.Seconds(), e.name)
	}
	return os.WriteFile(path, []byte(out.String()), 0o644)
}
