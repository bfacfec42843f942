package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/mesh-operator/mesh-operator/internal/accesslog"
)

// logsCommand is the command's input.
type logsCommand struct {
	streams
	kubeconfig, namespace string
	url                   string
	follow                bool
	status                string
	since                 time.Duration
	tail                  int
	output                string
	interval              time.Duration // between two questions of --follow
}

func newLogsCommand(s streams) *cobra.Command {
	c := &logsCommand{streams: s, interval: time.Second}
	cmd := &cobra.Command{
		Use:   "logs WORKLOAD",
		Short: "Show the access log of all proxies of a workload",
		Long: "Show the last entries of the access logs of all proxies of a workload: what it received (IN) and what it sent (OUT).\n\n" +
			"WORKLOAD is the name of the Deployment or what else owns the pods. istio-telemetry keeps the entries in memory; they are\n" +
			"read through the API server with the right to create pods/portforward in its namespace. The text of clients is shown\n" +
			"as proxies logged it; there are no queries of paths and no headers with secrets.",
		Example: "  meshctl logs productpage-v1 -n bookinfo\n  meshctl logs reviews-v1 -n bookinfo --follow --status 5xx\n" +
			"  meshctl logs reviews-v1 -n bookinfo --since 10m -o json",
		Args: oneWorkload,
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&c.namespace, "namespace", "n", "default", "namespace of the workload")
	flags.StringVar(&c.kubeconfig, "kubeconfig", "", "kubeconfig; default: $KUBECONFIG, then ~/.kube/config")
	flags.StringVar(&c.url, "url", "", "address of istio-telemetry's debug port, such as http://127.0.0.1:15014; default: a connection through the API server")
	flags.BoolVarP(&c.follow, "follow", "f", false, "show new entries until you interrupt it")
	flags.StringVar(&c.status, "status", "", "response codes and classes, such as 404,5xx; 0: connections and requests without a code; default: all")
	flags.DurationVar(&c.since, "since", 0, "only entries of this last time, such as 10m; default: all that are kept")
	flags.IntVar(&c.tail, "tail", 200, "at most so many of the last entries to begin with, 1 to 10000")
	flags.StringVarP(&c.output, "output", "o", "text", "text, or json: a line for each entry, with the fields of the JSON format of proxies")
	return cmd
}

func oneWorkload(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return hint(fmt.Errorf("%d arguments, want one workload", len(args)), "name one workload: meshctl logs productpage-v1 -n bookinfo")
	}
	return nil
}

func (c *logsCommand) query(workload string) (accesslog.Query, error) {
	q := accesslog.Query{Workload: workload, Limit: c.tail}
	var err error
	if q.Status, err = accesslog.ParseStatus(c.status); err != nil {
		return q, hint(fmt.Errorf("status: %w", err), "write --status 404 or --status 4xx,5xx")
	}
	if c.tail < 1 || c.tail > accesslog.MaxLimit {
		return q, hint(fmt.Errorf("tail %d is out of range", c.tail), "write --tail 1 to --tail %d", accesslog.MaxLimit)
	}
	if c.since < 0 {
		return q, hint(fmt.Errorf("since %s is negative", c.since), "write how far back to look, such as --since 10m")
	}
	if c.since > 0 {
		q.Since = time.Now().Add(-c.since)
	}
	if !slices.Contains([]string{"text", "json"}, c.output) {
		return q, hint(fmt.Errorf("unknown output %q", c.output), "write -o text or -o json")
	}
	return q, nil
}

func (c *logsCommand) run(ctx context.Context, workload string) error {
	q, err := c.query(workload)
	if err != nil {
		return err
	}
	source, err := c.source()
	if err != nil {
		return err
	}
	q.Namespace = c.namespace
	entries, err := source.next(ctx, q)
	if err != nil {
		return err
	}
	if len(entries) == 0 && !c.follow {
		return hint(fmt.Errorf("there are no entries of %s in namespace %s", workload, q.Namespace),
			"is it the name of a Deployment whose pods have a proxy, and was there traffic since istio-telemetry started? -n names another namespace")
	}
	if err := c.print(entries); err != nil || !c.follow {
		return err
	}
	q.Limit = accesslog.MaxLimit
	return c.followFrom(ctx, source, q)
}

func (c *logsCommand) followFrom(ctx context.Context, source *logSource, q accesslog.Query) error {
	for {
		if wait(ctx, c.interval) != nil {
			return nil //nolint:nilerr // interrupted
		}
		entries, err := source.next(ctx, q)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // interrupted
		case err != nil:
			fmt.Fprintf(c.err, "meshctl: warning: %s; trying again\n", printable(err.Error()))
		default:
			if err := c.print(entries); err != nil {
				return err
			}
		}
	}
}

func (c *logsCommand) print(entries []accesslog.Entry) error {
	for i := range entries {
		text := logLine(&entries[i])
		if c.output == "json" {
			line, err := json.Marshal(&entries[i])
			if err != nil {
				return fmt.Errorf("encode entry: %w", err)
			}
			text = string(line)
		}
		if _, err := io.WriteString(c.out, text+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// logLine is an entry for people, without control characters.
func logLine(e *accesslog.Entry) string {
	side, code, what := "OUT", "-", "connection"
	if e.Reporter == accesslog.Destination {
		side = "IN"
	}
	if e.Code > 0 {
		code = fmt.Sprint(e.Code)
	}
	if e.Method != "" {
		what = e.Method + " " + e.Path
	}
	line := fmt.Sprintf("%s  %-3s  %-3s  %-4s  %6dms  %s  %s", e.Time.UTC().Format("2006-01-02T15:04:05.000Z"), side, code, orDash(e.Flags), e.Milliseconds, what, otherSide(e))
	return printable(line)
}

func otherSide(e *accesslog.Entry) string {
	if e.Reporter == accesslog.Destination {
		if e.DownstreamPeer != "" {
			return "from " + e.DownstreamPeer
		}
		return "from " + orDash(e.DownstreamAddress) + " without a certificate"
	}
	to, port, ok := e.Destination()
	switch {
	case !ok:
		to = orDash(e.Authority)
	case port > 0:
		to = fmt.Sprintf("%s:%d", to, port)
	}
	return fmt.Sprintf("to %s at %s", to, orDash(e.UpstreamHost))
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

var errNoTelemetry = errors.New("no pod of istio-telemetry runs")
