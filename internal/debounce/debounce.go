// Package debounce lets work follow changes: the first change after a quiet time waits for nothing, and those that come during the
// work and the pause after it become one more run. What works does not matter to it; pilot's configuration and the analysis of it
// are its users.
package debounce

import (
	"context"
	"time"
)

// Pause is the time between two runs. It is as long as the work took, times Factor, within Shortest and Longest: in a storm of
// changes the work takes one part in Factor+1 of a core.
type Pause struct {
	Factor            int
	Shortest, Longest time.Duration
}

func (p Pause) after(took time.Duration) time.Duration {
	return min(max(time.Duration(p.Factor)*took, p.Shortest), p.Longest)
}

// Run calls work for each signal, with pauses, until ctx ends.
func Run(ctx context.Context, signal <-chan struct{}, pause Pause, work func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-signal:
		}
		start := time.Now()
		work()
		timer := time.NewTimer(pause.after(time.Since(start)))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}
