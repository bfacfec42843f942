package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// graphQuery is what the receiving sidecars counted, by who called whom.
const graphQuery = `sum by (source_workload, destination_workload, response_code, connection_security_policy) (istio_requests_total{reporter="destination", destination_service_namespace="` + bookinfo + `"})`

// edge is one series of the answer.
type edge struct {
	Metric map[string]string
	Value  [2]any
}

func (e edge) name() string {
	return e.Metric["source_workload"] + " " + e.Metric["destination_workload"] + " " + e.Metric["response_code"]
}

// showCallGraph prints the calls that the mesh's Prometheus has collected, after the scrape that has the last request.
func (d *demo) showCallGraph(ctx context.Context) error {
	client := d.lab.ThroughPod("istio-system", "app=prometheus", 9090)
	defer client.CloseIdleConnections()
	var edges []edge
	scraped, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err := lab.Until(scraped, "Prometheus has the requests", func(ctx context.Context) (err error) {
		if edges, err = queryEdges(ctx, client); err != nil {
			return err
		}
		return checkEdges(edges)
	})
	if err != nil {
		return err
	}
	d.heading("Who called whom, from Prometheus")
	table := tabwriter.NewWriter(d.out, 0, 4, 2, ' ', 0)
	for _, e := range edges {
		fmt.Fprintf(table, "  %s\t→ %s\t%s\t%s\t%v\n", e.Metric["source_workload"], e.Metric["destination_workload"],
			e.Metric["response_code"], e.Metric["connection_security_policy"], e.Value[1])
	}
	return table.Flush()
}

// checkEdges returns an error until the graph reaches its last workload and has every request of the demo.
func checkEdges(edges []edge) error {
	pages, ratings := 0, false
	for _, e := range edges {
		switch e.Metric["destination_workload"] {
		case "ratings-v1":
			ratings = true
		case "productpage-v1":
			count, err := strconv.Atoi(fmt.Sprint(e.Value[1]))
			if err != nil {
				return fmt.Errorf("read count of requests: %w", err)
			}
			pages += count
		}
	}
	if pages < requests || !ratings {
		return fmt.Errorf("it has %d of %d requests, ratings: %t", pages, requests, ratings)
	}
	return nil
}

func queryEdges(ctx context.Context, client *http.Client) ([]edge, error) {
	reply, err := lab.Get(ctx, lab.Request{URL: "http://prometheus/api/v1/query?query=" + url.QueryEscape(graphQuery), Client: client})
	if err != nil {
		return nil, err
	}
	var answer struct{ Data struct{ Result []edge } }
	if err := json.Unmarshal([]byte(reply.Body), &answer); err != nil {
		return nil, fmt.Errorf("decode answer of Prometheus: %w", err)
	}
	slices.SortFunc(answer.Data.Result, func(x, y edge) int { return strings.Compare(x.name(), y.name()) })
	return answer.Data.Result, nil
}

// showTrace prints the newest trace of a page by meshctl, as a user would with a port-forward.
func (d *demo) showTrace(ctx context.Context) error {
	client := d.lab.ThroughPod("istio-system", "app=jaeger-query", 16686)
	defer client.CloseIdleConnections()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: "jaeger"}) }, Transport: client.Transport}
	server := &http.Server{Handler: forward}
	go server.Serve(listener) //nolint:errcheck // it ends with the function
	defer server.Close()
	meshctl, err := d.buildMeshctl(ctx)
	if err != nil {
		return err
	}
	var tree []byte
	reported, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err = lab.Until(reported, "Jaeger has the trace of a page", func(ctx context.Context) (err error) {
		command := exec.CommandContext(ctx, meshctl, "trace", "productpage."+bookinfo, "--limit", "1", "--url", "http://"+listener.Addr().String())
		if tree, err = command.Output(); err == nil && !bytes.Contains(tree, []byte("ratings."+bookinfo)) {
			_, err = d.page(ctx) // reviews-v1 calls no ratings
			err = errors.Join(errors.New("the newest trace does not reach ratings"), err)
		}
		return err
	})
	if err != nil {
		return err
	}
	d.heading("The trace of a page, from Jaeger (* marks the slowest path)")
	for line := range strings.Lines(string(tree)) {
		fmt.Fprint(d.out, "  "+line)
	}
	return nil
}

// buildMeshctl compiles it like the programs of the images, which have most of its packages in the build cache.
func (d *demo) buildMeshctl(ctx context.Context) (string, error) {
	path := filepath.Join(d.lab.Root, ".bin", "meshctl")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", path, "./cmd/meshctl")
	build.Dir, build.Env = d.lab.Root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build meshctl: %w: %s", err, out)
	}
	return path, nil
}
