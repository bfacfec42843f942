package mesh

import (
	"sync"
	"sync/atomic"
)

// memo remembers what later stages computed from a snapshot, once for all proxies that need it, and what they had computed
// from the snapshot before.
type memo struct {
	mu     sync.Mutex
	vals   map[string]*memoValue
	before *memo
}

type memoValue struct {
	once   sync.Once
	val    atomic.Pointer[any]
	failed *Panic // of compute
}

// newMemo follows the memo of the snapshot before, which may be nil. Of older ones nothing is kept.
func newMemo(before *memo) *memo {
	if before != nil {
		before.mu.Lock()
		before.before = nil
		before.mu.Unlock()
	}
	return &memo{vals: map[string]*memoValue{}, before: before}
}

// Once returns the value of compute for key, computing it the first time only. The value must depend on the snapshot and
// key alone and must not be modified. compute gets the value that the snapshot before had for the key, or nil: a help for
// computing the same faster. If compute panics, so does every call; the next snapshot starts from the value before.
func (s *Snapshot) Once(key string, compute func(before any) any) any {
	v, before := s.memo.entry(key)
	v.once.Do(func() {
		last := before.find(key)
		val := last
		v.failed = Catch(func() { val = compute(last) })
		v.val.Store(&val)
	})
	if v.failed != nil {
		panic(v.failed)
	}
	return *v.val.Load()
}

func (m *memo) entry(key string) (v *memoValue, before *memo) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.vals[key]
	if !ok {
		v = &memoValue{}
		m.vals[key] = v
	}
	return v, m.before
}

// find returns a value that has been computed, or nil.
func (m *memo) find(key string) any {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	v := m.vals[key]
	m.mu.Unlock()
	if v == nil {
		return nil
	}
	if val := v.val.Load(); val != nil {
		return *val
	}
	return nil
}
