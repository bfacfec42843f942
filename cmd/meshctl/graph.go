package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/cmd/meshctl/callgraph"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// graphCommand is the command's input.
type graphCommand struct {
	streams
	kubeconfig, namespace string
	prometheus            string
	interval              time.Duration
	watch                 bool
	output                string
}

func newGraphCommand(s streams) *cobra.Command {
	c := &graphCommand{streams: s}
	cmd := &cobra.Command{
		Use:   "graph",
		Short: "Show who calls whom, how often, how fast, and whether over mutual TLS",
		Long: "Show the call graph of the mesh: each workload with those it calls, the requests a second, the share of errors, the 50th\n" +
			"and 99th percentile of durations, and a padlock. It is closed when all calls came over mutual TLS, open when some did\n" +
			"not, and absent when no proxy knows.\n\n" +
			"The numbers are those of the mesh's Prometheus about the last minute, through the API server: you need the right to get\n" +
			"services/proxy in istio-system. Where it is not installed they come from the proxies, and you need the right to get\n" +
			"pods/proxy. --prometheus names another Prometheus that scrapes the mesh.",
		Example: "  meshctl graph -n bookinfo --watch\n  meshctl graph -o svg > graph.svg\n  meshctl graph -o dot | dot -Tpng > graph.png",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&c.namespace, "namespace", "n", "", "namespace whose calls are shown, in and out; default: all")
	flags.StringVar(&c.kubeconfig, "kubeconfig", "", "kubeconfig; default: $KUBECONFIG, then ~/.kube/config")
	flags.StringVar(&c.prometheus, "prometheus", "", "address of a Prometheus to ask instead of the mesh's own")
	flags.DurationVar(&c.interval, "interval", 5*time.Second, "time between two graphs, and what a graph is about that comes from the proxies")
	flags.BoolVarP(&c.watch, "watch", "w", false, "draw again and again, until you interrupt it")
	flags.StringVarP(&c.output, "output", "o", "tree", "tree, dot, svg or json")
	return cmd
}

// graphSource returns the metrics of the interval that ends now.
type graphSource func(context.Context) (callgraph.Metrics, error)

func (c *graphCommand) run(ctx context.Context) error {
	if c.interval < time.Second {
		return hint(fmt.Errorf("interval %s is too short", c.interval), "write --interval 1s or more")
	}
	if !slices.Contains([]string{"tree", "dot", "svg", "json"}, c.output) {
		return hint(fmt.Errorf("unknown output %q", c.output), "write -o tree, -o dot, -o svg or -o json")
	}
	if c.watch && (c.output == "dot" || c.output == "svg") {
		return hint(fmt.Errorf("a file of -o %s holds one graph", c.output), "leave --watch out")
	}
	source, err := c.source(ctx)
	if err != nil {
		return err
	}
	for {
		metrics, err := source(ctx)
		if err != nil && ctx.Err() != nil && c.watch {
			return nil // interrupted
		}
		if err != nil {
			return err
		}
		if err := c.print(metrics); err != nil || !c.watch {
			return err
		}
	}
}

func (c *graphCommand) source(ctx context.Context) (graphSource, error) {
	if c.prometheus != "" {
		p, err := prometheusAt(c.prometheus)
		if err != nil {
			return nil, err
		}
		return (&prometheusGraph{prometheus: p, namespace: c.namespace, interval: c.interval,
			hint: "is a Prometheus at " + c.prometheus + "?"}).next, nil
	}
	_, client, err := connect(c.kubeconfig)
	if err != nil {
		return nil, hint(err, "name one with --kubeconfig, or a Prometheus with --prometheus URL")
	}
	_, err = client.CoreV1().Services(owner.MeshNamespace).Get(ctx, prometheusService, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err), apierrors.IsForbidden(err):
		return (&proxyGraph{proxyPages: proxyPages{client: client, namespace: c.namespace, warnings: c.err}, interval: c.interval}).next, nil
	case err != nil:
		return nil, fmt.Errorf("look for Prometheus: %w", err)
	}
	return (&prometheusGraph{prometheus: prometheusOfMesh(client), namespace: c.namespace, interval: c.interval,
		hint: "the right to get services/proxy in " + owner.MeshNamespace + " is needed; or ask another Prometheus with --prometheus URL"}).next, nil
}

func (c *graphCommand) print(metrics callgraph.Metrics) error {
	g := callgraph.Build(metrics)
	if c.namespace != "" {
		g = g.InNamespace(c.namespace)
	}
	text := ""
	switch c.output {
	case "dot":
		text = g.Dot()
	case "svg":
		text = g.SVG()
	case "json":
		line, err := json.Marshal(g)
		if err != nil {
			return fmt.Errorf("encode the graph: %w", err)
		}
		text = string(line) + "\n"
	case "tree":
		text = g.Tree()
		if c.watch {
			text = clearTerminal + text
		}
	}
	_, err := io.WriteString(c.out, text)
	return err
}

// clearTerminal moves to the first column of the first line and erases what is below (ECMA-48: CUP, ED).
const clearTerminal = "\x1b[H\x1b[2J"

// prometheusGraph asks a Prometheus.
type prometheusGraph struct {
	prometheus
	namespace, hint string
	interval        time.Duration
	asked           bool
}

// next returns the calls of the last window, at once the first time and then after each interval.
func (p *prometheusGraph) next(ctx context.Context) (m callgraph.Metrics, err error) {
	if p.asked {
		if err := wait(ctx, p.interval); err != nil {
			return m, err
		}
	}
	p.asked = true
	for query, into := range map[string]*[]callgraph.Sample{
		p.rates("istio_requests_total"):               &m.Requests,
		p.rates("istio_tcp_connections_opened_total"): &m.Connections,
		p.quantile("0.5"):                             &m.P50,
		p.quantile("0.99"):                            &m.P99,
	} {
		series, err := p.query(ctx, query)
		if err != nil {
			return m, hint(err, "%s", p.hint)
		}
		for _, s := range series {
			*into = append(*into, callgraph.Sample{Labels: s.Metric, Value: s.value()})
		}
	}
	return m, nil
}

func (p *prometheusGraph) rates(metric string) string {
	return p.ofNamespace(func(selector string) string {
		return fmt.Sprintf("sum by (%s) (rate(%s{%s}[%s]))", strings.Join(callgraph.Labels, ","), metric, selector, window(p.interval))
	})
}

func (p *prometheusGraph) quantile(q string) string {
	return p.ofNamespace(func(selector string) string {
		return fmt.Sprintf("histogram_quantile(%s,sum by (le,%s) (rate(istio_request_duration_milliseconds_bucket{%s}[%s])))",
			q, strings.Join(callgraph.PairLabels, ","), selector, window(p.interval))
	})
}

// ofNamespace is a query about the calls that begin or end in the namespace: in two parts, which hold the same series if they are of
// both.
func (p *prometheusGraph) ofNamespace(query func(selector string) string) string {
	if p.namespace == "" {
		return query("")
	}
	var parts []string
	for _, label := range []string{"source_workload_namespace", "destination_workload_namespace", "destination_service_namespace"} {
		parts = append(parts, query(fmt.Sprintf("%s=%q", label, p.namespace)))
	}
	return strings.Join(parts, " or ")
}
