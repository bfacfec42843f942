package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxPrometheusAnswer bounds an answer of Prometheus, in bytes.
const maxPrometheusAnswer = 64 << 20

// prometheusTop asks a Prometheus.
type prometheusTop struct {
	url, namespace string
	interval       time.Duration
	asked          bool
}

func newPrometheusTop(address, namespace string, interval time.Duration) (topSource, error) {
	if u, err := url.Parse(address); err != nil || u.Host == "" {
		return nil, hint(fmt.Errorf("%q is no address", address), "write --prometheus http://host:port")
	}
	return (&prometheusTop{url: strings.TrimSuffix(address, "/"), namespace: namespace, interval: interval}).next, nil
}

// scrapes is how many intervals of scraping a rate needs at least, with one to spare.
const scrapes = 4

// window is the time that rates are of. Prometheus needs two scrapes in it: with the default interval of 15 s a minute.
func (p *prometheusTop) window() string {
	return strconv.Itoa(max(scrapes*15, int(math.Ceil(p.interval.Seconds())))) + "s"
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
		return fmt.Sprintf(`histogram_quantile(%s,sum by (le,%s) (rate(istio_request_duration_milliseconds_bucket{%s}[%s])))`, q, by, selector, p.window())
	}
	rate := func(more string) string {
		return fmt.Sprintf(`sum by (%s) (rate(istio_requests_total{%s%s}[%s]))`, by, selector, more, p.window())
	}
	failed := fmt.Sprintf(`sum by (%s) (rate(istio_requests_total{%s,response_code=~"5.."}[%s]) or rate(istio_requests_total{%s,grpc_response_status=~"%s"}[%s]))`,
		by, selector, p.window(), selector, strings.Join(serverFaults, "|"), p.window())
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

// promSeries is an element of an instant vector; see https://prometheus.io/docs/prometheus/latest/querying/api/.
type promSeries struct {
	Metric map[string]string `json:"metric"`
	Value  [2]any            `json:"value"` // seconds, and the number as text
}

func (s promSeries) value() float64 {
	text, _ := s.Value[1].(string)
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return math.NaN()
	}
	return v
}

func (p *prometheusTop) query(ctx context.Context, query string) ([]promSeries, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/api/v1/query?"+url.Values{"query": {query}}.Encode(), nil)
	if err != nil {
		return nil, fmt.Errorf("query Prometheus: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("query Prometheus: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxPrometheusAnswer))
	if err != nil {
		return nil, fmt.Errorf("query Prometheus: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("query Prometheus: %s: %.200s", response.Status, printable(string(body)))
	}
	var answer struct {
		Data struct {
			Result []promSeries `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("query Prometheus: decode the answer: %w", err)
	}
	return answer.Data.Result, nil
}
