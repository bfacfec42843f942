package scope

import (
	"sync"
	"sync/atomic"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// Memo holds values that are computed from one snapshot, each once for all proxies that need it, and what the snapshot before
// had in their place. It is safe for concurrent use.
type Memo[V any] struct {
	mu     sync.Mutex
	values map[string]*memoValue[V]
	before *Memo[V]
}

type memoValue[V any] struct {
	once   sync.Once
	value  atomic.Pointer[V] // nil: not computed yet, or the computation panicked and there was none before
	failed *mesh.Panic
}

// NextMemo returns the memo of the next snapshot; before may be nil. Of older ones nothing is kept.
func NextMemo[V any](before *Memo[V]) *Memo[V] {
	if before != nil {
		before.mu.Lock()
		before.before = nil
		before.mu.Unlock()
	}
	return &Memo[V]{values: map[string]*memoValue[V]{}, before: before}
}

// Get returns the value of compute for key, computing it the first time only. The value must depend on the snapshot and key
// alone and must not be modified. compute gets the value that the snapshot before had for the key, or nil: it may start from
// it. If compute panics, so does every call; the next snapshot starts from the value before.
func (m *Memo[V]) Get(key string, compute func(before *V) V) V {
	v, before := m.entry(key)
	v.once.Do(func() {
		last := before.find(key)
		v.failed = mesh.Catch(func() {
			value := compute(last)
			v.value.Store(&value)
		})
		if v.failed != nil {
			v.value.Store(last)
		}
	})
	if v.failed != nil {
		panic(v.failed)
	}
	return *v.value.Load()
}

func (m *Memo[V]) entry(key string) (v *memoValue[V], before *Memo[V]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.values[key]
	if !ok {
		v = &memoValue[V]{}
		m.values[key] = v
	}
	return v, m.before
}

// find returns a value that has been computed, or nil.
func (m *Memo[V]) find(key string) *V {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	v := m.values[key]
	m.mu.Unlock()
	if v == nil {
		return nil
	}
	return v.value.Load()
}
