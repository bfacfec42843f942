package ration

import (
	"fmt"
	"testing"
	"time"
)

// TestRationIsBounded: keys without end take no memory without end, whether they come at once or with a pause in between.
func TestRationIsBounded(t *testing.T) {
	const most = 1024
	for _, pause := range []time.Duration{0, time.Minute} {
		now := time.Now()
		s := New(5, 50, most)
		for i := range 3 * most {
			if i == most {
				now = now.Add(pause)
			}
			if !s.Allow(fmt.Sprint(i), now) {
				t.Fatalf("key %d is refused its first event", i)
			}
		}
		if len(s.buckets) > most {
			t.Errorf("%d keys are kept, want at most %d", len(s.buckets), most)
		}
	}
}
