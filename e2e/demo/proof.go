package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// versionCounts counts the versions of reviews that pages showed.
type versionCounts map[string]int

// traffic sends a fixed number of requests through the ingress gateway, one after the other.
func (d *demo) traffic(ctx context.Context) (versionCounts, error) {
	seen := versionCounts{}
	for range requests {
		reply, err := d.page(ctx)
		if err != nil {
			return seen, err
		}
		if reply.Status != 200 {
			return seen, fmt.Errorf("GET /productpage: status %d", reply.Status)
		}
		seen[lab.ReviewsVersion(reply.Body)]++
	}
	return seen, nil
}

// proof prints pods, identities, versions and addresses.
func (d *demo) proof(ctx context.Context, seen versionCounts, took time.Duration) error {
	for _, section := range []func(context.Context) error{d.showPods, d.showIdentities, d.showCallGraph, d.showTrace} {
		if err := section(ctx); err != nil {
			return fmt.Errorf("show the result: %w", err)
		}
	}
	d.heading("Versions of reviews that /productpage showed (%d requests)", requests)
	for _, version := range slices.Sorted(maps.Keys(seen)) {
		share := 100 * float64(seen[version]) / requests
		fmt.Fprintf(d.out, "  reviews %-4s %5.1f %%  %s\n", version, share, strings.Repeat("█", int(share/2)))
	}
	d.heading("Open these")
	if err := d.urls(ctx); err != nil {
		return fmt.Errorf("show the URLs: %w", err)
	}
	fmt.Fprintln(d.out)
	for _, page := range []struct{ name, service, port string }{{"Prometheus", "prometheus", "9090"}, {"Jaeger", "jaeger-query", "16686"}, {"Grafana", "grafana", "3000"}} {
		fmt.Fprintf(d.out, "%s: http://localhost:%s while this runs: %s port-forward -n istio-system svc/%s %s\n", page.name, page.port, d.kubectl(), page.service, page.port)
	}
	fmt.Fprintf(d.out, "Grafana's user is admin; the password: %s get secret -n istio-system grafana -o go-template='{{.data.password | base64decode}}'\n", d.kubectl())
	if d.name != existing {
		fmt.Fprintln(d.out, "Grafana here serves its API and the dashboards, and not its page: docs/grafana.md")
	}
	fmt.Fprintf(d.out, "kubeconfig: %s\ntook %s\n", d.lab.Kubeconfig, took.Round(time.Second))
	return nil
}

// kubectl is the command that reaches this cluster.
func (d *demo) kubectl() string {
	if d.name == existing {
		return cmp.Or(os.Getenv("KUBECTL"), "kubectl")
	}
	return ".bin/cluster kubectl --name " + d.name + " --"
}

func (d *demo) heading(format string, args ...any) {
	if terminal(d.out) {
		format = "\x1b[1m" + format + "\x1b[0m"
	}
	fmt.Fprintf(d.out, "\n"+format+"\n", args...)
}

func (d *demo) showPods(ctx context.Context) error {
	d.heading("Pods")
	table := tabwriter.NewWriter(d.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(table, "  NAMESPACE\tNAME\tREADY\tSTATUS")
	for _, ns := range []string{operatorNamespace, "istio-system", bookinfo} {
		pods, err := d.lab.Client.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for i := range pods.Items {
			ready, total := lab.Containers(&pods.Items[i])
			fmt.Fprintf(table, "  %s\t%s\t%d/%d\t%s\n", ns, pods.Items[i].Name, ready, total, pods.Items[i].Status.Phase)
		}
	}
	return table.Flush()
}

// peers matches the client's and the server's identity at the beginning of a line of a sidecar's access log; what follows is
// under the control of clients.
var peers = regexp.MustCompile(`^\[[^\]]*\] peer=(spiffe://\S+) local=(spiffe://\S+) `)

// showIdentities prints the identities of clients and servers from the receiving sidecars' access logs: they are from verified
// certificates, so each line is a call over mutual TLS. Proxies write their logs in batches, so it waits for the last lines.
func (d *demo) showIdentities(ctx context.Context) error {
	var calls map[string]int
	logged, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	err := lab.Until(logged, "the gateway's calls are in the log", func(ctx context.Context) (err error) {
		if calls, err = d.calls(ctx); err != nil {
			return err
		}
		for pair, count := range calls {
			if strings.Contains(pair, "ingressgateway") && count >= requests {
				return nil
			}
		}
		return fmt.Errorf("prove mutual TLS: the sidecars saw %v", calls)
	})
	if err != nil {
		return err
	}
	d.heading("Calls over mutual TLS, from the receiving sidecars' access logs")
	table := tabwriter.NewWriter(d.out, 0, 4, 2, ' ', 0)
	for _, pair := range slices.Sorted(maps.Keys(calls)) {
		fmt.Fprintf(table, "  %s\t%d\n", pair, calls[pair])
	}
	return table.Flush()
}

// calls counts the pairs of identities in the access logs of Bookinfo's sidecars.
func (d *demo) calls(ctx context.Context) (map[string]int, error) {
	calls := map[string]int{}
	for _, app := range []string{"productpage", "details", "reviews", "ratings"} {
		text, err := d.lab.Logs(ctx, bookinfo, "app="+app, "istio-proxy", 1000)
		if err != nil {
			return nil, err
		}
		for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
			if m := peers.FindStringSubmatch(lines.Text()); m != nil {
				calls[m[1]+"\t→ "+m[2]]++
			}
		}
	}
	return calls, nil
}

// urls prints one "name url" a line.
func (d *demo) urls(ctx context.Context) error {
	if d.lab == nil {
		if err := d.open(ctx); err != nil {
			return err
		}
	}
	if d.name == existing {
		return d.endpoints(ctx)
	}
	urls, err := d.lab.URLs(ctx)
	if err != nil {
		return err
	}
	if gateway, ok := urls["istio-system/istio-ingressgateway/http"]; ok {
		fmt.Fprintln(d.out, "bookinfo", gateway+"/productpage")
	}
	for _, name := range slices.Sorted(maps.Keys(urls)) {
		fmt.Fprintln(d.out, name, urls[name])
	}
	return nil
}
