package dashboards

import (
	"fmt"
	"strings"
)

// rate is the increase per second of the requests, or of another counter, that match.
func rate(counter, match string) string {
	return fmt.Sprintf("rate(%s{%s}[$__rate_interval])", counter, match)
}

// sum adds up, by labels if there are any.
func sum(expr string, by ...string) string {
	if len(by) == 0 {
		return "sum(" + expr + ")"
	}
	return "sum by (" + strings.Join(by, ", ") + ") (" + expr + ")"
}

// succeeded is the share of requests without a 5xx response, by labels.
func succeeded(match string, by ...string) string {
	good := strings.TrimPrefix(match+`, response_code!~"5.*"`, ", ")
	return sum(rate("istio_requests_total", good), by...) + " / " + sum(rate("istio_requests_total", match), by...)
}

// percentile is of a histogram, by labels.
func percentile(p float64, histogram, match string, by ...string) string {
	return fmt.Sprintf("histogram_quantile(%g, %s)", p, sum(rate(histogram+"_bucket", match), append([]string{"le"}, by...)...))
}

// percentiles are the queries of the 50th, 90th and 99th percentile.
func percentiles(histogram, match string) []Query {
	var out []Query
	for _, p := range []float64{0.5, 0.9, 0.99} {
		out = append(out, Query{percentile(p, histogram, match), fmt.Sprintf("p%g", p*100)})
	}
	return out
}

func one(expr, legend string) []Query { return []Query{{expr, legend}} }

const (
	noErrors  = "it has data only where requests fail"
	noTCP     = "it has data only where a Service has a TCP port whose connections have ended"
	noRefusal = "it has data only after something was refused"
)
