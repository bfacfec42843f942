package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
)

// topCommand is the command's input.
type topCommand struct {
	streams
	kubeconfig, namespace string
	prometheus            string
	interval              time.Duration
	once                  bool
	output                string
}

func newTopCommand(s streams) *cobra.Command {
	c := &topCommand{streams: s}
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Show requests, errors and durations of workloads as they happen",
		Long: "Show requests a second, the share of errors, and the 50th and 99th percentile of durations of each workload, of what it\n" +
			"receives (IN) and what it sends (OUT), until you interrupt it.\n\n" +
			"The numbers come from the proxies of the pods, through the API server: you need the right to get pods/proxy. With\n" +
			"--prometheus they come from a Prometheus that scrapes the mesh. Errors are responses with a 5xx code and, of gRPC,\n" +
			"statuses that blame the server.",
		Example: "  meshctl top -n bookinfo\n  meshctl top --once -o json\n  meshctl top --prometheus http://127.0.0.1:9090",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&c.namespace, "namespace", "n", "", "namespace of the workloads; default: all")
	flags.StringVar(&c.kubeconfig, "kubeconfig", "", "kubeconfig; default: $KUBECONFIG, then ~/.kube/config")
	flags.StringVar(&c.prometheus, "prometheus", "", "address of a Prometheus to ask instead of the proxies")
	flags.DurationVar(&c.interval, "interval", 5*time.Second, "time that a table is about")
	flags.BoolVar(&c.once, "once", false, "print one table and end")
	flags.StringVarP(&c.output, "output", "o", "table", "table or json: a line for each table")
	return cmd
}

// topSource returns the traffic of workloads in the interval that ends now; the first call may wait for the interval.
type topSource func(context.Context) ([]topRow, error)

func (c *topCommand) run(ctx context.Context) error {
	if c.interval < time.Second {
		return hint(fmt.Errorf("interval %s is too short", c.interval), "write --interval 1s or more")
	}
	if !slices.Contains([]string{"table", "json"}, c.output) {
		return hint(fmt.Errorf("unknown output %q", c.output), "write -o table or -o json")
	}
	source, err := c.source()
	if err != nil {
		return err
	}
	for {
		rows, err := source(ctx)
		if err != nil && ctx.Err() != nil && !c.once {
			return nil // interrupted
		}
		if err != nil {
			return err
		}
		if err := c.print(rows); err != nil || c.once {
			return err
		}
	}
}

func (c *topCommand) source() (topSource, error) {
	if c.prometheus != "" {
		return newPrometheusTop(c.prometheus, c.namespace, c.interval)
	}
	return newProxyTop(c)
}

func (c *topCommand) print(rows []topRow) error {
	slices.SortFunc(rows, compareTopRows)
	text := topTable(rows)
	if c.output == "json" {
		line, err := json.Marshal(rows)
		if err != nil {
			return fmt.Errorf("encode rows: %w", err)
		}
		text = string(line) + "\n"
	} else if !c.once {
		text = clearTerminal + text
	}
	_, err := io.WriteString(c.out, text)
	return err
}

// wait returns after a time, or with the error of ctx.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
