package scenarios

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// jaegerTrace is a trace as Jaeger's query API returns it.
type jaegerTrace struct {
	Spans []struct {
		SpanID        string
		OperationName string
		ProcessID     string
		References    []struct{ SpanID string }
	}
	Processes map[string]struct{ ServiceName string }
}

// TestInstallationJaeger installs Jaeger: the trace of a page of Bookinfo is one tree over all of its services.
func TestInstallationJaeger(t *testing.T) {
	installation(t)
	sharedBookinfo(t)
	edit(t, `{"spec":{"jaeger":{"storage":{"type":"Memory"}},"telemetry":{"tracing":{"samplingPercent":100}}}}`)
	must(t, lab.Until(within(t, 2*time.Minute), "the trace of a page is one tree", func(ctx context.Context) error {
		if err := opensPage(ctx, site{namespace: bookinfo}); err != nil {
			return err
		}
		traces, err := tracesOf(ctx, "productpage."+bookinfo)
		if err != nil {
			return err
		}
		err = errors.New("there is no trace")
		for _, trace := range traces {
			if err = trace.checkPage(); err == nil {
				return nil
			}
		}
		return err
	}))
}

func tracesOf(ctx context.Context, service string) ([]jaegerTrace, error) {
	client := mesh.ThroughPod("istio-system", "app=jaeger", 16686)
	defer client.CloseIdleConnections()
	query := url.Values{"service": {service}, "limit": {"20"}, "lookback": {"1h"}}
	reply, err := lab.Get(ctx, lab.Request{URL: "http://jaeger/api/traces?" + query.Encode(), Client: client})
	if err != nil {
		return nil, err
	}
	var answer struct{ Data []jaegerTrace }
	if err := json.Unmarshal([]byte(reply.Body), &answer); err != nil {
		return nil, fmt.Errorf("decode traces: status %d: %w", reply.Status, err)
	}
	return answer.Data, nil
}

// checkPage returns what a trace lacks to be that of a page, with the operations that the article shows.
func (trace jaegerTrace) checkPage() error {
	spans, roots, seen := map[string]bool{}, 0, map[string]bool{}
	for _, s := range trace.Spans {
		spans[s.SpanID] = true
	}
	for _, s := range trace.Spans {
		if len(s.References) == 0 {
			roots++
		}
		for _, parent := range s.References {
			if !spans[parent.SpanID] {
				return fmt.Errorf("the parent of span %s is missing", s.OperationName)
			}
		}
		seen[trace.Processes[s.ProcessID].ServiceName+" "+s.OperationName] = true
	}
	for _, want := range [][2]string{
		{"istio-ingressgateway.istio-system", "productpage"}, {"productpage." + bookinfo, "productpage"}, {"productpage." + bookinfo, "details"},
		{"details." + bookinfo, "details"}, {"productpage." + bookinfo, "reviews"}, {"reviews." + bookinfo, "reviews"},
	} {
		if span := want[0] + " " + want[1] + "." + bookinfo + ".svc.cluster.local:9080/*"; !seen[span] {
			return fmt.Errorf("no span %s among %v", span, seen)
		}
	}
	if roots != 1 {
		return fmt.Errorf("the trace has %d roots", roots)
	}
	return nil
}
