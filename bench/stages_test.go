package main

import (
	"fmt"
	"testing"
)

// BenchmarkStep is all stages after one change, with allocations, for profiling; `go run ./bench stages` prints ratios.
func BenchmarkStep(b *testing.B) {
	for _, c := range changes {
		for _, n := range []int{100, 1000, 5000} {
			b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) {
				w := stageWorld(n)
				p := newPipeline(w, 4)
				b.ReportAllocs()
				for b.Loop() {
					c.apply(w)
					p.step(w)
				}
			})
		}
	}
}
