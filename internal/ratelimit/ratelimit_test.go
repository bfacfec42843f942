package ratelimit

import (
	"fmt"
	"testing"
	"time"
)

// TestBucketsAreBounded: an unlimited number of keys takes a limited amount of memory, at once or with a pause between them.
func TestBucketsAreBounded(t *testing.T) {
	const maxKeys = 1024
	for _, pause := range []time.Duration{0, time.Minute} {
		now := time.Now()
		l := New(5, 50, maxKeys)
		for i := range 3 * maxKeys {
			if i == maxKeys {
				now = now.Add(pause)
			}
			if !l.Allow(fmt.Sprint(i), now) {
				t.Fatalf("key %d was refused its first event", i)
			}
		}
		if len(l.buckets) > maxKeys {
			t.Errorf("%d buckets, want at most %d", len(l.buckets), maxKeys)
		}
	}
}
