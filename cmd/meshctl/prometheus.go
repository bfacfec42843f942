package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// maxPrometheusAnswer bounds an answer of Prometheus, in bytes.
const maxPrometheusAnswer = 64 << 20

// The Service of the mesh's Prometheus.
const (
	prometheusService = "prometheus"
	prometheusPort    = "9090"
)

// prometheus returns what the path below a Prometheus's address answers. See
// https://prometheus.io/docs/prometheus/latest/querying/api/.
type prometheus func(ctx context.Context, path string, query url.Values) ([]byte, error)

// prometheusAt is the Prometheus of an address.
func prometheusAt(address string) (prometheus, error) {
	if u, err := url.Parse(address); err != nil || u.Host == "" {
		return nil, hint(fmt.Errorf("%q is no address", address), "write --prometheus http://host:port")
	}
	return func(ctx context.Context, path string, query url.Values) ([]byte, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(address, "/")+path+"?"+query.Encode(), nil)
		if err != nil {
			return nil, err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return nil, err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(io.LimitReader(response.Body, maxPrometheusAnswer))
		if err != nil {
			return nil, err
		}
		if response.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("%s: %.200s", response.Status, printable(string(body)))
		}
		return body, nil
	}, nil
}

// prometheusOfMesh is the mesh's own, through the API server.
func prometheusOfMesh(client kubernetes.Interface) prometheus {
	return func(ctx context.Context, path string, query url.Values) ([]byte, error) {
		parameters := map[string]string{}
		for name := range query {
			parameters[name] = query.Get(name)
		}
		stream, err := client.CoreV1().Services(owner.MeshNamespace).ProxyGet("http", prometheusService, prometheusPort, path, parameters).Stream(ctx)
		if err != nil {
			return nil, errors.New(printable(err.Error())) // the text may be the Service's
		}
		defer stream.Close()
		return io.ReadAll(io.LimitReader(stream, maxPrometheusAnswer))
	}
}

// scrapes is how many intervals of scraping a rate needs at least, with one to spare.
const scrapes = 4

// window is the time that rates are of. Prometheus needs two scrapes in it: with the default interval of 15 s a minute.
func window(interval time.Duration) string {
	return strconv.Itoa(max(scrapes*15, int(math.Ceil(interval.Seconds())))) + "s"
}

// promSeries is an element of an instant vector.
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

// query returns the elements of an instant query.
func (p prometheus) query(ctx context.Context, query string) ([]promSeries, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	body, err := p(ctx, "/api/v1/query", url.Values{"query": {query}})
	if err != nil {
		return nil, fmt.Errorf("query Prometheus: %w", err)
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
