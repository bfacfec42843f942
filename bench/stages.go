package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/mesh-operator/mesh-operator/xds/envoy"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/scope"
)

// pipeline is pilot without streams: step takes the world, as it is now, through the stages for the sidecars of some
// namespaces and for a gateway.
type pipeline struct {
	builder  *envoy.Builder
	snapshot *mesh.Snapshot
	views    *scope.Views
	proxies  map[string]*mesh.ProxyView // by pod
	sidecars int
	shared   map[int]*envoy.Shared
	edge     string // the key of the gateway's scope
}

// laps is what the stages took in one step.
type laps map[string]time.Duration

var stageNames = []string{"mesh.Build", "scope.For", "envoy.Build", "gateway scope.For", "gateway envoy.Build"}

func (l laps) time(stage string, do func()) {
	start := time.Now()
	do()
	l[stage] += time.Since(start)
}

func (p *pipeline) step(w *world) laps {
	l := laps{}
	l.time("mesh.Build", func() { p.snapshot = mesh.Build(p.snapshot, w.in) })
	p.views = scope.NewViews(p.views, p.snapshot)
	for i := range p.sidecars {
		var s scope.Scope
		l.time("scope.For", func() {
			s = p.scope(w.namespace(i), serviceName(i)+"-0")
		})
		l.time("envoy.Build", func() {
			p.shared[i] = p.builder.Share(p.shared[i], s)
			p.builder.BuildWith(p.shared[i], s)
		})
	}
	p.gateway(l)
	return l
}

func (p *pipeline) scope(namespace, pod string) scope.Scope {
	view := p.snapshot.UpdateProxy(p.proxies[pod], namespace, pod)
	p.proxies[pod] = view
	return p.views.Scope(scope.ClassOf(*view.Proxy))
}

// gateway builds for a router, as pilot does, only if its scope is another one.
func (p *pipeline) gateway(l laps) {
	var s scope.Scope
	l.time("gateway scope.For", func() {
		s = p.scope(gatewayNamespace, "gate-0")
	})
	l.time("gateway envoy.Build", func() {
		if key := s.Key(); key != p.edge {
			p.edge = key
			p.builder.Build(s)
		}
	})
}

func newPipeline(w *world, sidecars int) *pipeline {
	p := &pipeline{builder: envoy.NewBuilder(), sidecars: sidecars, shared: map[int]*envoy.Shared{}, proxies: map[string]*mesh.ProxyView{}}
	p.step(w)
	return p
}

func stageWorld(services int) *world {
	return newWorld(size{services: services, namespaces: 20, endpoints: 3})
}

func newStagesCommand() *cobra.Command {
	var sizes []int
	steps, sidecars := 0, 0
	cmd := &cobra.Command{
		Use: "stages", Short: "the stages by themselves, at several sizes of the mesh: what grows with what", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			printStages(cmd.OutOrStdout(), sizes, steps, sidecars)
			return nil
		},
	}
	cmd.Flags().IntSliceVar(&sizes, "services", []int{100, 1000, 5000}, "sizes of the mesh to compare, the smallest first")
	cmd.Flags().IntVar(&steps, "steps", 9, "changes of each kind; the median counts")
	cmd.Flags().IntVar(&sidecars, "sidecars", 4, "sidecars, each of a namespace of its own")
	return cmd
}

// printStages writes a line for each change and stage: the time at the smallest size, and how many times that it is at the
// others.
func printStages(out io.Writer, sizes []int, steps, sidecars int) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer table.Flush()
	fmt.Fprintf(table, "change\tstage\t%d services\t", sizes[0])
	for _, n := range sizes[1:] {
		fmt.Fprintf(table, "%d\t", n)
	}
	fmt.Fprintln(table)
	times := map[string]map[int]laps{}
	for _, n := range sizes {
		w := stageWorld(n)
		p := newPipeline(w, sidecars)
		for _, c := range changes {
			if times[c.name] == nil {
				times[c.name] = map[int]laps{}
			}
			times[c.name][n] = p.median(w, c, steps)
		}
	}
	for _, c := range changes {
		for _, stage := range stageNames {
			base := times[c.name][sizes[0]][stage]
			fmt.Fprintf(table, "%s\t%s\t%s\t", c.name, stage, rounded(base))
			for _, n := range sizes[1:] {
				fmt.Fprintf(table, "x%.1f\t", float64(times[c.name][n][stage])/float64(base))
			}
			fmt.Fprintln(table)
		}
	}
}

// median changes the world again and again and returns what each stage took in the middle of the cases: others use the
// machine too.
func (p *pipeline) median(w *world, c change, steps int) laps {
	all := map[string][]time.Duration{}
	for range steps + 1 {
		c.apply(w)
		for stage, d := range p.step(w) {
			all[stage] = append(all[stage], d)
		}
	}
	out := laps{}
	for stage, list := range all {
		slices.Sort(list[1:]) // the first of a kind also pays for what the later ones reuse
		out[stage] = list[1+len(list[1:])/2]
	}
	return out
}
