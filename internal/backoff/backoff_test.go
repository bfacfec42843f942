package backoff

import (
	"testing"
	"time"
)

func TestNext(t *testing.T) {
	g, delay := Growth{First: time.Second, Longest: 10 * time.Second, Factor: 3}, time.Duration(0)
	for _, want := range []time.Duration{time.Second, 3 * time.Second, 9 * time.Second, 10 * time.Second, 10 * time.Second} {
		if delay = g.Next(delay); delay != want {
			t.Errorf("the delay is %s, want %s", delay, want)
		}
	}
}

func TestSpread(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 100 {
		d := Spread(time.Minute, 0.5)
		if seen[d] = true; d < 30*time.Second || d > 90*time.Second {
			t.Errorf("half a minute around a minute is %s", d)
		}
	}
	if len(seen) < 10 {
		t.Errorf("there are only %d delays", len(seen))
	}
}
