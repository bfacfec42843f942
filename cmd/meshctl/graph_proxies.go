package main

import (
	"context"
	"strings"
	"time"

	"github.com/mesh-operator/mesh-operator/cmd/meshctl/callgraph"
)

// proxyGraph reads the pages of the proxies.
type proxyGraph struct {
	proxyPages
	interval time.Duration

	before map[string]podCalls
}

// podCalls are the counters of a pod.
type podCalls struct {
	at                    time.Time
	requests, connections map[string]callgraph.Sample // by labels
	durations             map[string]pairCounts
}

type pairCounts struct {
	labels map[string]string
	counts counts
}

// next waits for the interval, and returns what has changed in it.
func (p *proxyGraph) next(ctx context.Context) (m callgraph.Metrics, err error) {
	if p.before == nil {
		if p.before, err = p.calls(ctx); err != nil {
			return m, err
		}
	}
	if err := wait(ctx, p.interval); err != nil {
		return m, err
	}
	now, err := p.calls(ctx)
	if err != nil {
		return m, err
	}
	m = metricsBetween(p.before, now)
	p.before = now
	return m, nil
}

func (p *proxyGraph) calls(ctx context.Context) (map[string]podCalls, error) {
	pages, err := p.read(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]podCalls{}
	for pod, page := range pages {
		out[pod] = page.calls()
	}
	return out, nil
}

// calls adds up the series of a page that a graph does not tell apart.
func (p proxyPage) calls() podCalls {
	c := podCalls{at: p.at, requests: p.counters("istio_requests_total"), connections: p.counters("istio_tcp_connections_opened_total"), durations: map[string]pairCounts{}}
	for _, m := range p.families["istio_request_duration_milliseconds"].GetMetric() {
		labels, key := p.pick(labelsOf(m), callgraph.PairLabels)
		sum := c.durations[key]
		sum.labels = labels
		for _, b := range m.GetHistogram().GetBucket() {
			sum.counts.bucket(b.GetUpperBound(), float64(b.GetCumulativeCount()))
		}
		c.durations[key] = sum
	}
	return c
}

func (p proxyPage) counters(name string) map[string]callgraph.Sample {
	out := map[string]callgraph.Sample{}
	for _, m := range p.families[name].GetMetric() {
		labels, key := p.pick(labelsOf(m), callgraph.Labels)
		out[key] = callgraph.Sample{Labels: labels, Value: out[key].Value + m.GetCounter().GetValue()}
	}
	return out
}

// pick returns some of the labels, and all of them as one text. The workload of the page's own side is the one that Kubernetes says
// the pod is of.
func (p proxyPage) pick(all map[string]string, names []string) (labels map[string]string, key string) {
	labels = map[string]string{}
	for _, name := range names {
		labels[name] = all[name]
	}
	if side := all["reporter"]; side == "source" || side == "destination" {
		labels[side+"_workload"], labels[side+"_workload_namespace"] = p.workload, p.namespace
	}
	var b strings.Builder
	for _, name := range names {
		b.WriteString(labels[name] + "\x00")
	}
	return labels, b.String()
}

// metricsBetween are the rates and durations of the pods that are in both readings.
func metricsBetween(before, now map[string]podCalls) (m callgraph.Metrics) {
	durations := map[string]pairCounts{}
	for pod, calls := range now {
		last, ok := before[pod]
		if !ok {
			continue
		}
		seconds := calls.at.Sub(last.at).Seconds()
		m.Requests = append(m.Requests, rates(last.requests, calls.requests, seconds)...)
		m.Connections = append(m.Connections, rates(last.connections, calls.connections, seconds)...)
		for key, pair := range calls.durations {
			sum := durations[key]
			sum.labels = pair.labels
			sum.counts.add(pair.counts.since(last.durations[key].counts))
			durations[key] = sum
		}
	}
	for _, pair := range durations {
		for q, into := range map[float64]*[]callgraph.Sample{0.5: &m.P50, 0.99: &m.P99} {
			if value := pair.counts.quantile(q); value != nil {
				*into = append(*into, callgraph.Sample{Labels: pair.labels, Value: *value})
			}
		}
	}
	return m
}

// rates are what counters have grown by, a second. One that is smaller than before has started again from zero.
func rates(before, now map[string]callgraph.Sample, seconds float64) (out []callgraph.Sample) {
	for key, s := range now {
		if last := before[key].Value; s.Value >= last {
			s.Value -= last
		}
		s.Value /= seconds
		out = append(out, s)
	}
	return out
}
