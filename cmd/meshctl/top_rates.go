package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/mesh-operator/mesh-operator/cmd/meshctl/callgraph"
)

// topRow is the traffic of a workload.
type topRow struct {
	Namespace string  `json:"namespace"`
	Workload  string  `json:"workload"`
	Pods      int     `json:"pods,omitempty"` // that were read; 0: not known
	In        traffic `json:"in"`
	Out       traffic `json:"out"`
}

// traffic is what one side of a workload's proxies saw in an interval.
type traffic struct {
	Requests float64  `json:"requestsPerSecond"`
	Errors   float64  `json:"errorsPerSecond"`
	P50      *float64 `json:"p50Milliseconds,omitempty"` // nil: no request
	P99      *float64 `json:"p99Milliseconds,omitempty"`
}

func compareTopRows(a, b topRow) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Workload, b.Workload))
}

// counts are the counters of one side.
type counts struct {
	requests, errors float64
	buckets          map[float64]float64 // cumulative, by upper bound in milliseconds
}

func (c *counts) add(other counts) {
	c.requests += other.requests
	c.errors += other.errors
	for bound, n := range other.buckets {
		c.bucket(bound, n)
	}
}

func (c *counts) bucket(bound, n float64) {
	if c.buckets == nil {
		c.buckets = map[float64]float64{}
	}
	c.buckets[bound] += n
}

// since returns what was counted after before. A counter that is smaller than before has started again from zero.
func (c counts) since(before counts) counts {
	if c.requests < before.requests || c.errors < before.errors {
		return c
	}
	d := counts{requests: c.requests - before.requests, errors: c.errors - before.errors}
	for bound, n := range c.buckets {
		d.bucket(bound, max(n-before.buckets[bound], 0))
	}
	return d
}

func (c counts) traffic(seconds float64) traffic {
	return traffic{Requests: c.requests / seconds, Errors: c.errors / seconds, P50: c.quantile(0.5), P99: c.quantile(0.99)}
}

// quantile interpolates within a bucket, as Prometheus's histogram_quantile does.
func (c counts) quantile(q float64) *float64 {
	var bounds []float64
	for bound := range c.buckets {
		bounds = append(bounds, bound)
	}
	slices.Sort(bounds)
	if len(bounds) == 0 || c.buckets[bounds[len(bounds)-1]] == 0 {
		return nil
	}
	rank, lower, below := q*c.buckets[bounds[len(bounds)-1]], 0.0, 0.0
	for _, upper := range bounds {
		if n := c.buckets[upper]; n >= rank {
			value := lower
			if !math.IsInf(upper, 1) && n > below {
				value = lower + (upper-lower)*(rank-below)/(n-below)
			}
			return &value
		}
		lower, below = upper, c.buckets[upper]
	}
	return &lower
}

func topTable(rows []topRow) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAMESPACE\tWORKLOAD\tIN/s\tERRORS\tP50\tP99\tOUT/s\tERRORS\tP50\tP99")
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", printable(r.Namespace), printable(r.Workload), r.In, r.Out)
	}
	_ = w.Flush()
	return b.String()
}

// String is the columns of one side.
func (t traffic) String() string {
	if t.Requests == 0 {
		return "-\t-\t-\t-"
	}
	return fmt.Sprintf("%.1f\t%.1f %%\t%s\t%s", t.Requests, 100*t.Errors/t.Requests, callgraph.Duration(t.P50), callgraph.Duration(t.P99))
}
