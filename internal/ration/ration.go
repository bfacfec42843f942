// Package ration gives each caller a share of its own, so that one who asks without end uses up nobody else's. Its memory is
// bounded, since a stranger can make up keys.
package ration

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Shares is one token bucket per key. Buckets that have been idle long enough to be full are forgotten.
type Shares struct {
	limit rate.Limit
	burst int
	most  int

	mu      sync.Mutex
	buckets map[string]*rate.Limiter
}

// New returns shares of limit events a second and bursts of the given size. At most that many keys are remembered: beyond it
// full buckets go first, for whom that changes nothing, and if all are in use, all of them.
func New(limit rate.Limit, burst, most int) *Shares {
	return &Shares{limit: limit, burst: burst, most: most, buckets: map[string]*rate.Limiter{}}
}

// Allow takes one event from the share of key, and reports whether there was one left.
func (s *Shares) Allow(key string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	bucket, ok := s.buckets[key]
	if !ok {
		s.makeRoom(now)
		bucket = rate.NewLimiter(s.limit, s.burst)
		s.buckets[key] = bucket
	}
	return bucket.AllowN(now, 1)
}

func (s *Shares) makeRoom(now time.Time) {
	if len(s.buckets) < s.most {
		return
	}
	for key, bucket := range s.buckets {
		if bucket.TokensAt(now) >= float64(s.burst) {
			delete(s.buckets, key)
		}
	}
	if len(s.buckets) >= s.most {
		clear(s.buckets)
	}
}
