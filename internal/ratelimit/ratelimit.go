// Package ratelimit limits events per key, so that one client that sends without pause uses up only its own quota. Its memory
// is bounded, because an unauthenticated client can invent keys.
package ratelimit

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Limiter is one token bucket per key. Buckets that have been idle long enough to be full are dropped.
type Limiter struct {
	limit   rate.Limit
	burst   int
	maxKeys int

	mu      sync.Mutex
	buckets map[string]*rate.Limiter
}

// New returns a limiter of limit events a second and bursts of the given size for each key. It holds at most maxKeys buckets:
// beyond that it drops the full ones first, which changes nothing for their keys, and all of them if none is full.
func New(limit rate.Limit, burst, maxKeys int) *Limiter {
	return &Limiter{limit: limit, burst: burst, maxKeys: maxKeys, buckets: map[string]*rate.Limiter{}}
}

// Allow takes one event from the quota of key, and reports whether there was one left.
func (l *Limiter) Allow(key string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket, ok := l.buckets[key]
	if !ok {
		l.makeRoom(now)
		bucket = rate.NewLimiter(l.limit, l.burst)
		l.buckets[key] = bucket
	}
	return bucket.AllowN(now, 1)
}

func (l *Limiter) makeRoom(now time.Time) {
	if len(l.buckets) < l.maxKeys {
		return
	}
	for key, bucket := range l.buckets {
		if bucket.TokensAt(now) >= float64(l.burst) {
			delete(l.buckets, key)
		}
	}
	if len(l.buckets) >= l.maxKeys {
		clear(l.buckets)
	}
}
