package main

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/mesh-operator/mesh-operator/cmd/meshctl/callgraph"
)

// prometheusTop asks a Prometheus.
type prometheusTop struct {
	prometheus
	url, namespace string
	interval       time.Duration
	asked          bool
}

func newPrometheusTop(address, namespace string, interval time.Duration) (topSource, error) {
	p, err := prometheusAt(address)
	if err != nil {
		return nil, err
	}
	return (&prometheusTop{prometheus: p, url: address, namespace: namespace, interval: interval}).next, nil
}

// next returns the traffic of the last window, at once the first time and then after each interval.
func (p *prometheusTop) next(ctx context.Context) ([]topRow, error) {
	if p.asked {
		if err := wait(ctx, p.interval); err != nil {
			return nil, err
		}
	}
	p.asked = true
	rows := map[[2]string]*topRow{}
	for _, side := range []struct {
		reporter string
		of       func(*topRow) *traffic
	}{
		{"destination", func(r *topRow) *traffic { return &r.In }},
		{"source", func(r *topRow) *traffic { return &r.Out }},
	} {
		if err := p.side(ctx, rows, side.reporter, side.of); err != nil {
			return nil, hint(err, "is a Prometheus at %s? kubectl port-forward -n istio-system service/prometheus 9090 makes it so", p.url)
		}
	}
	list := []topRow{}
	for _, r := range rows {
		list = append(list, *r)
	}
	return list, nil
}

// side asks for one reporter's numbers; its own workload has the labels that begin with its name.
func (p *prometheusTop) side(ctx context.Context, rows map[[2]string]*topRow, reporter string, of func(*topRow) *traffic) error {
	by := reporter + "_workload_namespace," + reporter + "_workload"
	selector := fmt.Sprintf(`reporter=%q`, reporter)
	if p.namespace != "" {
		selector += fmt.Sprintf(`,%s_workload_namespace=%q`, reporter, p.namespace)
	}
	quantile := func(q string) string {
		return fmt.Sprintf(`histogram_quantile(%s,sum by (le,%s) (rate(istio_request_duration_milliseconds_bucket{%s}[%s])))`, q, by, selector, window(p.interval))
	}
	rate := func(more string) string {
		return fmt.Sprintf(`sum by (%s) (rate(istio_requests_total{%s%s}[%s]))`, by, selector, more, window(p.interval))
	}
	failed := fmt.Sprintf(`sum by (%s) (rate(istio_requests_total{%s,response_code=~"5.."}[%s]) or rate(istio_requests_total{%s,grpc_response_status=~"%s"}[%s]))`,
		by, selector, window(p.interval), selector, strings.Join(callgraph.ServerFaults(), "|"), window(p.interval))
	for query, set := range map[string]func(*traffic, float64){
		rate(""):         func(t *traffic, v float64) { t.Requests = v },
		failed:           func(t *traffic, v float64) { t.Errors = v },
		quantile("0.5"):  func(t *traffic, v float64) { t.P50 = number(v) },
		quantile("0.99"): func(t *traffic, v float64) { t.P99 = number(v) },
	} {
		series, err := p.query(ctx, query)
		if err != nil {
			return err
		}
		for _, s := range series {
			key := [2]string{s.Metric[reporter+"_workload_namespace"], s.Metric[reporter+"_workload"]}
			if rows[key] == nil {
				rows[key] = &topRow{Namespace: key[0], Workload: key[1]}
			}
			set(of(rows[key]), s.value())
		}
	}
	return nil
}

// number is nil for NaN, which Prometheus says of nothing.
func number(v float64) *float64 {
	if math.IsNaN(v) {
		return nil
	}
	return &v
}
