package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mesh-operator/mesh-operator/internal/golden"
)

// TestTraceTree draws answers of Jaeger's query API.
func TestTraceTree(t *testing.T) {
	golden.Run(t, "testdata/trace/*.txtar", func(t *testing.T, c golden.Case) map[string]string {
		var answer traceAnswer
		if err := json.Unmarshal(c.Files["answer.json"], &answer); err != nil {
			t.Fatal(err)
		}
		return map[string]string{"want.txt": renderTraces(answer.Data)}
	})
}

// TestTraceCommand asks a query API that has one service.
func TestTraceCommand(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		switch {
		case r.URL.Path == "/jaeger/api/services":
			fmt.Fprint(w, `{"data": ["b.ns", "a.ns"]}`)
		case r.URL.Path != "/jaeger/api/traces" || len(q.Get("start")) != 16 || len(q.Get("end")) != 16:
			http.Error(w, "no such\x1b page", http.StatusNotFound)
		case q.Get("service") == "a.ns" && q.Get("limit") == "2":
			fmt.Fprint(w, `{"data": [{"traceID": "t1", "spans": [{"spanID": "1", "operationName": "op", "duration": 1500, "processID": "p"}], "processes": {"p": {"serviceName": "a.ns"}}}]}`)
		case q.Get("service") == "broken":
			fmt.Fprint(w, `<html>`)
		default:
			fmt.Fprint(w, `{"data": []}`)
		}
	}))
	t.Cleanup(api.Close)
	for args, want := range map[string]string{
		"a.ns --limit 2 --url URL/jaeger/":  "0 trace t1  1970-01-01 00:00:00 UTC  1.50 ms  spans: 1\n*     1.50 ms  a.ns  op\n",
		"c.ns --url URL/jaeger":             "1 meshctl: error: service c.ns has no trace of the last 1h0m0s\nmeshctl: hint: services with traces: a.ns, b.ns\n",
		"a.ns --url URL":                    "1 meshctl: error: read traces: 404 Not Found: no such? page?\nmeshctl: hint: is Jaeger's query API at URL? kubectl port-forward -n NAMESPACE service/jaeger-query 16686 makes it so\n",
		"broken --url URL/jaeger":           "1 meshctl: error: read traces: decode the answer: invalid character '<' looking for beginning of value\nmeshctl: hint: is Jaeger's query API at URL/jaeger? kubectl port-forward -n NAMESPACE service/jaeger-query 16686 makes it so\n",
		"a.ns b.ns":                         "1 meshctl: error: 2 arguments, want one service\nmeshctl: hint: name one service: meshctl trace productpage.myproject\n",
		"a.ns --limit 0":                    "1 meshctl: error: limit 0 is out of range\nmeshctl: hint: write --limit 1 to --limit 1500\n",
		"a.ns --lookback -1h":               "1 meshctl: error: lookback -1h0m0s is not positive\nmeshctl: hint: write how far back to search, such as --lookback 1h\n",
		"a.ns --url http://127.0.0.1:1/%zz": `1 meshctl: error: read traces: parse "http://127.0.0.1:1/%zz/api/traces?`,
	} {
		t.Run(args, func(t *testing.T) {
			var out, errs bytes.Buffer
			fields := strings.Fields(strings.ReplaceAll(args, "URL", api.URL))
			code := run(t.Context(), append([]string{"trace"}, fields...), streams{nil, &out, &errs})
			got := fmt.Sprint(code) + " " + strings.ReplaceAll(out.String()+errs.String(), api.URL, "URL")
			if got != want && (strings.HasSuffix(want, "\n") || !strings.HasPrefix(got, want)) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}
