package scope

import (
	"testing"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// TestPanicInSharedComputation gets a value twice whose computation panics, and in the next snapshot again: it starts from the
// last good one.
func TestPanicInSharedComputation(t *testing.T) {
	m := NextMemo[string](nil)
	m.Get("key", func(*string) string { return "good" })
	m = NextMemo(m)
	calls := 0
	compute := func(*string) string { calls++; panic("odd") }
	first := mesh.Guarded(mesh.Pilot, func() { m.Get("key", compute) })
	second := mesh.Guarded(mesh.Pilot, func() { m.Get("key", compute) })
	if first == nil || second == nil || *first != *second || calls != 1 {
		t.Errorf("%d computations failed as %v and %v, want one whose panic all callers get", calls, first, second)
	}
	m = NextMemo(m)
	if got := m.Get("key", func(before *string) string { return *before }); got != "good" {
		t.Errorf("the next computation starts from %q, want the last good value", got)
	}
}
