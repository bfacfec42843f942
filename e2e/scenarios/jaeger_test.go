package scenarios

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// jaegerTrace is a trace as Jaeger's query API returns it.
type jaegerTrace struct {
	TraceID string
	Spans   []struct {
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
	edit(t, `{"spec":{"jaeger":{"enabled":true,"storage":{"type":"Memory"}},"telemetry":{"tracing":{"samplingPercent":100}}}}`)
	pageIsOneTree(t, "app=jaeger")
}

// TestJaeger finds the trace of a page of Bookinfo, one tree over all of its services, in the sample's Elasticsearch.
func TestJaeger(t *testing.T) {
	readyMesh(t)
	sharedBookinfo(t)
	pageIsOneTree(t, "app=jaeger-query")
}

// TestInstallationElasticsearchVolume kills Elasticsearch while there is traffic: no request fails, and the traces from before are
// there again.
func TestInstallationElasticsearchVolume(t *testing.T) {
	installation(t)
	sharedBookinfo(t)
	claims := mesh.Client.CoreV1().PersistentVolumeClaims("istio-system")
	atEnd(t, time.Minute, func(ctx context.Context) error {
		return claims.Delete(ctx, "elasticsearch", metav1.DeleteOptions{}) // the operator keeps it
	})
	edit(t, `{"spec":{"jaeger":{"enabled":true,"elasticsearch_memory":"800MB","storage":{"volume":{"size":"1Gi"}}},"telemetry":{"tracing":{"samplingPercent":100}}}}`)
	before := pageIsOneTree(t, "app=jaeger-query")
	must(t, mesh.Client.CoreV1().Pods("istio-system").Delete(within(t, 30*time.Second), "elasticsearch-0", metav1.DeleteOptions{}))
	must(t, lab.Until(within(t, 3*time.Minute), "the trace from before is there", func(ctx context.Context) error {
		if reply, err := (site{namespace: bookinfo}).page(ctx, "/productpage", nil); err != nil || reply.Status != 200 {
			t.Errorf("while Elasticsearch is down: status %d, %v", reply.Status, err)
		}
		traces, err := traces(ctx, "app=jaeger-query", "/api/traces/"+before)
		if err != nil {
			return err
		}
		if len(traces) != 1 {
			return fmt.Errorf("there are %d traces", len(traces))
		}
		return traces[0].checkPage()
	}))
}

// pageIsOneTree opens a page until its trace is as the article shows, and returns the trace's identifier.
func pageIsOneTree(t *testing.T, jaeger string) (id string) {
	t.Helper()
	query := url.Values{"service": {"productpage." + bookinfo}, "limit": {"20"}, "lookback": {"1h"}}
	must(t, lab.Until(within(t, 2*time.Minute), "the trace of a page is one tree", func(ctx context.Context) error {
		if err := opensPage(ctx, site{namespace: bookinfo}); err != nil {
			return err
		}
		traces, err := traces(ctx, jaeger, "/api/traces?"+query.Encode())
		if err != nil {
			return err
		}
		err = errors.New("there is no trace")
		for _, trace := range traces {
			if err = trace.checkPage(); err == nil {
				id = trace.TraceID
				return nil
			}
		}
		return err
	}))
	return id
}

// traces asks Jaeger's query API.
func traces(ctx context.Context, jaeger, path string) ([]jaegerTrace, error) {
	client := mesh.ThroughPod("istio-system", jaeger, 16686)
	defer client.CloseIdleConnections()
	reply, err := lab.Get(ctx, lab.Request{URL: "http://jaeger" + path, Client: client})
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
