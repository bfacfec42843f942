package debounce

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestRun runs on a clock of its own. Each case has the times of the changes and of the runs.
func TestRun(t *testing.T) {
	const ms = time.Millisecond
	cases := map[string]struct {
		reason  string
		takes   time.Duration // a run
		changes []time.Duration
		want    []time.Duration
	}{
		"Quiet": {
			reason:  "A change after a quiet time waits for nothing.",
			changes: []time.Duration{0, 100 * ms},
			want:    []time.Duration{0, 100 * ms},
		},
		"Burst": {
			reason:  "Changes right after a run become one more, when the pause is over.",
			changes: []time.Duration{0, 1 * ms, 2 * ms, 9 * ms},
			want:    []time.Duration{0, 10 * ms},
		},
		"SlowWork": {
			reason:  "The pause is as long as the work took.",
			takes:   40 * ms,
			changes: []time.Duration{0, 5 * ms, 70 * ms},
			want:    []time.Duration{0, 80 * ms},
		},
		"VerySlowWork": {
			reason:  "The pause is bounded.",
			takes:   3 * time.Second,
			changes: []time.Duration{0, 5 * ms},
			want:    []time.Duration{0, 3500 * ms},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if diff := cmp.Diff(c.want, runs(t, c.takes, c.changes)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", c.reason, diff)
				}
			})
		})
	}
}

func runs(t *testing.T, takes time.Duration, changes []time.Duration) []time.Duration {
	ctx, cancel := context.WithCancel(t.Context())
	signal, start, done := make(chan struct{}, 1), time.Now(), make(chan struct{})
	var got []time.Duration
	go func() {
		defer close(done)
		Run(ctx, signal, Pause{Factor: 1, Shortest: 10 * time.Millisecond, Longest: 500 * time.Millisecond}, func() {
			got = append(got, time.Since(start))
			<-time.After(takes)
		})
	}()
	for _, at := range changes {
		<-time.After(at - time.Since(start))
		select {
		case signal <- struct{}{}:
		default:
		}
		synctest.Wait()
	}
	<-time.After(10 * time.Second)
	cancel()
	<-done
	return got
}
