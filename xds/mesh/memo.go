package mesh

import "sync"

// memo remembers what later stages computed from a snapshot, once for all proxies that need it.
type memo struct {
	mu   sync.Mutex
	vals map[string]*memoValue
}

type memoValue struct {
	once sync.Once
	val  any
}

// Once returns the value of compute for key, computing it the first time only. The value must depend on the snapshot and
// key alone and must not be modified.
func (s *Snapshot) Once(key string, compute func() any) any {
	s.memo.mu.Lock()
	if s.memo.vals == nil {
		s.memo.vals = map[string]*memoValue{}
	}
	v, ok := s.memo.vals[key]
	if !ok {
		v = &memoValue{}
		s.memo.vals[key] = v
	}
	s.memo.mu.Unlock()
	v.once.Do(func() { v.val = compute() })
	return v.val
}
