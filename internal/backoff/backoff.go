// Package backoff has the delays between attempts of clients that a server may lose all at once.
package backoff

import (
	"math/rand/v2"
	"time"
)

// Growth is how delays grow: from First by Factor to Longest.
type Growth struct {
	First, Longest time.Duration
	Factor         float64
}

// Next returns the delay after last; 0 is before the first one.
func (g Growth) Next(last time.Duration) time.Duration {
	return min(g.Longest, max(g.First, time.Duration(g.Factor*float64(last))))
}

// Spread returns a random time within the fraction of d on both sides, so that clients which failed together do not retry
// together.
func Spread(d time.Duration, fraction float64) time.Duration {
	return time.Duration(float64(d) * (1 + fraction*(2*rand.Float64()-1)))
}
