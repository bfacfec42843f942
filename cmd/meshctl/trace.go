package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// maxTraceAnswer bounds the answer of the tracing system, in bytes.
const maxTraceAnswer = 64 << 20

// traceCommand is the command's input.
type traceCommand struct {
	streams
	url      string
	limit    int
	lookback time.Duration
	timeout  time.Duration
}

func newTraceCommand(s streams) *cobra.Command {
	c := &traceCommand{streams: s}
	cmd := &cobra.Command{
		Use:   "trace SERVICE",
		Short: "Print the last traces of a service as trees",
		Long: "Print the last traces that a service took part in as trees, newest first. Each line is a span: its duration, the\n" +
			"service whose proxy reported it, the operation, and the status. A star marks the slowest path: from the first\n" +
			"span always on to the slowest one below.\n\n" +
			"SERVICE is what spans carry, APPLICATION.NAMESPACE. The traces come from the query API of Jaeger.",
		Example: "  kubectl port-forward -n istio-system service/jaeger-query 16686:16686 &\n  meshctl trace productpage.myproject --url http://127.0.0.1:16686",
		Args:    oneService,
		RunE:    func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&c.url, "url", "http://127.0.0.1:16686", "address of Jaeger's query API, with its base path if it has one")
	flags.IntVar(&c.limit, "limit", 5, "number of traces, 1 to 1500")
	flags.DurationVar(&c.lookback, "lookback", time.Hour, "how far back to search")
	flags.DurationVar(&c.timeout, "timeout", 30*time.Second, "how long to wait for the answer")
	return cmd
}

func oneService(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return hint(fmt.Errorf("%d arguments, want one service", len(args)), "name one service: meshctl trace productpage.myproject")
	}
	return nil
}

func (c *traceCommand) run(ctx context.Context, service string) error {
	if c.limit < 1 || c.limit > 1500 {
		return hint(fmt.Errorf("limit %d is out of range", c.limit), "write --limit 1 to --limit 1500")
	}
	if c.lookback <= 0 {
		return hint(fmt.Errorf("lookback %s is not positive", c.lookback), "write how far back to search, such as --lookback 1h")
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	now := time.Now()
	var answer traceAnswer
	err := c.get(ctx, "/api/traces", url.Values{
		"service": {service}, "limit": {strconv.Itoa(c.limit)},
		"start": {strconv.FormatInt(now.Add(-c.lookback).UnixMicro(), 10)}, "end": {strconv.FormatInt(now.UnixMicro(), 10)},
	}, &answer)
	if err != nil {
		return hint(err, "is Jaeger's query API at %s? kubectl port-forward -n NAMESPACE service/jaeger-query 16686 makes it so", c.url)
	}
	if len(answer.Data) == 0 {
		return c.noTraces(ctx, service)
	}
	_, err = io.WriteString(c.out, renderTraces(answer.Data))
	return err
}

// noTraces returns the error for a service that has none, with the services that have some.
func (c *traceCommand) noTraces(ctx context.Context, service string) error {
	err := fmt.Errorf("service %s has no trace of the last %s", service, c.lookback)
	var answer struct {
		Data []string `json:"data"`
	}
	if e := c.get(ctx, "/api/services", nil, &answer); e != nil {
		return errors.Join(err, e)
	}
	if len(answer.Data) == 0 {
		return hint(err, "no service has any: send requests, and look at spec.telemetry.tracing of the Installation (docs/tracing.md)")
	}
	slices.Sort(answer.Data)
	return hint(err, "services with traces: %s", printable(strings.Join(answer.Data, ", ")))
}

// get decodes the JSON that the query API answers a path with.
func (c *traceCommand) get(ctx context.Context, path string, query url.Values, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(c.url, "/")+path+"?"+query.Encode(), nil)
	if err != nil {
		return fmt.Errorf("read traces: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("read traces: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxTraceAnswer))
	if err != nil {
		return fmt.Errorf("read traces: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("read traces: %s: %.200s", response.Status, printable(string(body)))
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("read traces: decode the answer: %w", err)
	}
	return nil
}
