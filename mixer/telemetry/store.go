package telemetry

import (
	"cmp"
	"slices"
	"sync"

	"github.com/mesh-operator/mesh-operator/internal/accesslog"
)

// workload is what entries are kept by.
type workload struct{ namespace, name string }

// store holds the last entries of each workload in memory. It is bounded twice: by entries of a workload, so that a busy one does not
// push out a quiet one, and by bytes of all, which the workload with the most of them gives up first.
type store struct {
	instance string
	limits   Limits
	onEvict  func(reason string, n int)

	mu        sync.Mutex
	workloads map[workload]*log
	bytes     int
	cursor    uint64 // of the newest entry
	forgotten uint64 // cursor of the newest entry of workloads that are gone
}

// log is the entries of a workload, the oldest first.
type log struct {
	entries []stored
	bytes   int
	evicted uint64 // cursor of the newest one that is gone
}

type stored struct {
	cursor uint64
	entry  *accesslog.Entry
}

// Reasons of an eviction.
const (
	evictedByWorkload = "workload" // the workload has newer ones
	evictedByMemory   = "memory"
)

func newStore(instance string, limits Limits, onEvict func(reason string, n int)) *store {
	return &store{instance: instance, limits: limits, onEvict: onEvict, workloads: map[workload]*log{}}
}

// add stores entries of one workload.
func (s *store) add(w workload, entries []*accesslog.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range entries {
		l := s.workloads[w]
		if l == nil {
			l = &log{}
			s.workloads[w] = l
		}
		s.cursor++
		l.entries = append(l.entries, stored{s.cursor, e})
		l.bytes += e.Size()
		s.bytes += e.Size()
		if n := len(l.entries) - s.limits.PerWorkload; n > 0 {
			s.evict(w, l, n, evictedByWorkload)
		}
		for s.bytes > s.limits.Bytes {
			largest, of := s.largest()
			s.evict(largest, of, (len(of.entries)+9)/10, evictedByMemory)
		}
	}
}

// largest returns the workload with the most bytes.
func (s *store) largest() (w workload, l *log) {
	for candidate, of := range s.workloads {
		if l == nil || of.bytes > l.bytes {
			w, l = candidate, of
		}
	}
	return w, l
}

// evict removes the n oldest entries of a workload.
func (s *store) evict(w workload, l *log, n int, reason string) {
	for i := range n {
		size := l.entries[i].entry.Size()
		l.bytes -= size
		s.bytes -= size
		l.evicted = l.entries[i].cursor
		l.entries[i].entry = nil
	}
	if l.entries = l.entries[n:]; len(l.entries) == 0 {
		delete(s.workloads, w)
		s.forgotten = max(s.forgotten, l.evicted)
	}
	s.onEvict(reason, n)
}

// read answers a query, the oldest entry first.
func (s *store) read(q accesslog.Query) accesslog.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := accesslog.Answer{Instance: s.instance, Cursor: s.cursor, Entries: []accesslog.Entry{}, Lost: q.After > 0 && s.forgotten > q.After}
	var found []stored
	for w, l := range s.workloads {
		if q.Namespace != "" && q.Namespace != w.namespace || q.Workload != "" && q.Workload != w.name {
			continue
		}
		a.Lost = a.Lost || q.After > 0 && l.evicted > q.After
		first, _ := slices.BinarySearchFunc(l.entries, q.After+1, func(e stored, cursor uint64) int { return cmp.Compare(e.cursor, cursor) })
		for _, e := range l.entries[first:] {
			if q.Matches(e.entry) {
				found = append(found, e)
			}
		}
	}
	slices.SortFunc(found, func(a, b stored) int { return cmp.Compare(a.cursor, b.cursor) })
	if limit := cmp.Or(q.Limit, accesslog.MaxLimit); len(found) > limit {
		a.Lost = a.Lost || q.After > 0
		found = found[len(found)-limit:]
	}
	for _, e := range found {
		a.Entries = append(a.Entries, *e.entry)
	}
	return a
}

// size returns the number of workloads and the bytes of their entries.
func (s *store) size() (workloads, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.workloads), s.bytes
}
