package main

import (
	"context"
	"time"

	"github.com/mesh-operator/mesh-operator/cmd/meshctl/callgraph"
)

// proxyTop reads the pages of the proxies again and again.
type proxyTop struct {
	proxyPages
	interval time.Duration

	before map[string]sample // by pod
}

// sample is what a pod's page says.
type sample struct {
	namespace, workload string
	at                  time.Time
	in, out             counts
}

func newProxyTop(c *topCommand) (topSource, error) {
	_, client, err := connect(c.kubeconfig)
	if err != nil {
		return nil, hint(err, "name one with --kubeconfig, or ask a Prometheus with --prometheus URL")
	}
	return (&proxyTop{proxyPages: proxyPages{client: client, namespace: c.namespace, warnings: c.err}, interval: c.interval}).next, nil
}

// next waits for the interval, and returns what has changed in it. Pods that have come meanwhile are in the next one.
func (p *proxyTop) next(ctx context.Context) ([]topRow, error) {
	if p.before == nil {
		first, err := p.samples(ctx)
		if err != nil {
			return nil, err
		}
		p.before = first
	}
	if err := wait(ctx, p.interval); err != nil {
		return nil, err
	}
	now, err := p.samples(ctx)
	if err != nil {
		return nil, err
	}
	rows := rowsOf(p.before, now)
	p.before = now
	return rows, nil
}

// rowsOf adds up the pods of each workload.
func rowsOf(before, now map[string]sample) []topRow {
	rows := map[[2]string]*topRow{}
	var in, out = map[*topRow]*counts{}, map[*topRow]*counts{}
	seconds := map[*topRow]float64{}
	for pod, s := range now {
		last, ok := before[pod]
		if !ok {
			continue
		}
		key := [2]string{s.namespace, s.workload}
		row := rows[key]
		if row == nil {
			row = &topRow{Namespace: s.namespace, Workload: s.workload}
			rows[key], in[row], out[row] = row, &counts{}, &counts{}
		}
		row.Pods++
		in[row].add(s.in.since(last.in))
		out[row].add(s.out.since(last.out))
		seconds[row] = max(seconds[row], s.at.Sub(last.at).Seconds())
	}
	list := []topRow{}
	for _, row := range rows {
		row.In, row.Out = in[row].traffic(seconds[row]), out[row].traffic(seconds[row])
		list = append(list, *row)
	}
	return list
}

func (p *proxyTop) samples(ctx context.Context) (map[string]sample, error) {
	pages, err := p.read(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]sample{}
	for pod, page := range pages {
		s := sample{namespace: page.namespace, workload: page.workload, at: page.at}
		s.in, s.out = page.counts()
		out[pod] = s
	}
	return out, nil
}

// counts adds up the request metrics of a page: what the proxy received (reporter destination) and what it sent (source). A gateway
// reports as a source only.
func (p proxyPage) counts() (in, out counts) {
	side := func(labels map[string]string) *counts {
		if labels["reporter"] == "destination" {
			return &in
		}
		return &out
	}
	for _, m := range p.families["istio_requests_total"].GetMetric() {
		labels := labelsOf(m)
		c, n := side(labels), m.GetCounter().GetValue()
		c.requests += n
		if callgraph.IsError(labels["response_code"], labels["grpc_response_status"]) {
			c.errors += n
		}
	}
	for _, m := range p.families["istio_request_duration_milliseconds"].GetMetric() {
		c := side(labelsOf(m))
		for _, b := range m.GetHistogram().GetBucket() {
			c.bucket(b.GetUpperBound(), float64(b.GetCumulativeCount()))
		}
	}
	return in, out
}
