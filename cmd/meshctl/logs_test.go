package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/internal/accesslog"
)

// logEntries are what a fake istio-telemetry has.
var logEntries = []accesslog.Entry{
	{
		Namespace: "shop", Workload: "reviews-v1", Proxy: "10.0.0.1", Reporter: accesslog.Destination, Time: time.Unix(1, 5e6).UTC(), Code: 200, Milliseconds: 12,
		Method: "GET", Path: "/reviews/1", DownstreamPeer: "spiffe://cluster.local/ns/shop/sa/productpage",
	},
	{
		Namespace: "shop", Workload: "reviews-v1", Reporter: accesslog.Source, Time: time.Unix(2, 0).UTC(), Code: 503, Flags: "UH", Milliseconds: 1,
		Method: "GET", Path: "/a\x1b[2J", UpstreamCluster: "outbound|9080||ratings.shop.svc.cluster.local",
	},
	{Namespace: "shop", Workload: "reviews-v1", Reporter: accesslog.Destination, Time: time.Unix(3, 0).UTC(), DownstreamAddress: "10.0.0.9:1"},
}

const logText = `1970-01-01T00:00:01.005Z  IN   200  -         12ms  GET /reviews/1  from spiffe://cluster.local/ns/shop/sa/productpage
1970-01-01T00:00:02.000Z  OUT  503  UH         1ms  GET /a?[2J  to ratings.shop.svc.cluster.local:9080 at -
1970-01-01T00:00:03.000Z  IN   -    -          0ms  connection  from 10.0.0.9:1 without a certificate
`

func TestLogsCommand(t *testing.T) {
	telemetry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q, err := accesslog.ParseQuery(r.URL.Query())
		if err != nil || r.URL.Path != "/debug/logs" {
			http.Error(w, "no such\x1b page", http.StatusNotFound)
			return
		}
		a := accesslog.Answer{Instance: "one", Cursor: 3}
		for i := range logEntries {
			if q.Matches(&logEntries[i]) {
				a.Entries = append(a.Entries, logEntries[i])
			}
		}
		_ = json.NewEncoder(w).Encode(a)
	}))
	t.Cleanup(telemetry.Close)
	lines := strings.SplitAfter(logText, "\n")
	for args, want := range map[string]string{
		"reviews-v1 -n shop --url URL/":             "0 " + logText,
		"reviews-v1 -n shop --url URL --status 5xx": "0 " + lines[1],
		"reviews-v1 -n shop --url URL --status 0":   "0 " + lines[2],
		"reviews-v1 -n shop --url URL --status 200 -o json": `0 {"namespace":"shop","workload":"reviews-v1","proxy":"10.0.0.1","reporter":"destination","start_time":"1970-01-01T00:00:01.005Z",` +
			`"response_code":200,"duration":12,"bytes_received":0,"bytes_sent":0,"method":"GET","path":"/reviews/1","downstream_peer_uri_san":"spiffe://cluster.local/ns/shop/sa/productpage"}` + "\n",
		"reviews-v1 --url URL": "1 meshctl: error: there are no entries of reviews-v1 in namespace default\nmeshctl: hint: is it the name of a Deployment whose pods have a proxy, " +
			"and was there traffic since istio-telemetry started? -n names another namespace\n",
		"reviews-v1 -n shop --url URL --since 1h": "1 meshctl: error: there are no entries of reviews-v1 in namespace shop\n",
		"reviews-v1 -n shop --url URL/x":          "1 meshctl: error: read logs of URL/x: status 404: no such? page\nmeshctl: hint: the right to create pods/portforward",
		"":                                        "1 meshctl: error: 0 arguments, want one workload\n",
		"a --status 6xx":                          "1 meshctl: error: status: \"6xx\" is neither a code such as 404 nor a class such as 5xx\nmeshctl: hint: write --status 404 or --status 4xx,5xx\n",
		"a --tail 0":                              "1 meshctl: error: tail 0 is out of range\nmeshctl: hint: write --tail 1 to --tail 10000\n",
		"a --since -1h":                           "1 meshctl: error: since -1h0m0s is negative\n",
		"a -o yaml":                               "1 meshctl: error: unknown output \"yaml\"\n",
		"a --url 127.0.0.1":                       "1 meshctl: error: \"127.0.0.1\" is no address\n",
		"reviews-v1 --kubeconfig testdata/none-of-all": "1 meshctl: error: read kubeconfig:",
	} {
		t.Run(args, func(t *testing.T) {
			var out, errs bytes.Buffer
			code := run(t.Context(), append([]string{"logs"}, strings.Fields(strings.ReplaceAll(args, "URL", telemetry.URL))...), streams{nil, &out, &errs})
			got := fmt.Sprint(code) + " " + strings.ReplaceAll(out.String()+errs.String(), telemetry.URL, "URL")
			if got != want && (code == 0 || !strings.HasPrefix(got, want)) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// TestLogsFollow reads two instances: what is new, all of one that has started anew, and a warning where entries are lost or an
// instance does not answer.
func TestLogsFollow(t *testing.T) {
	answers := map[string][]accesslog.Answer{
		"a": {
			{Instance: "a1", Cursor: 7, Entries: logEntries[:1]},
			{Instance: "a1", Cursor: 9, Entries: logEntries[1:2], Lost: true},
			{Instance: "a2", Cursor: 1}, {Instance: "a2", Cursor: 1, Entries: logEntries[2:]},
		},
		"b": {{Instance: "b1", Cursor: 2}, {}, {Instance: "b1", Cursor: 2}},
	}
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.Split(r.URL.Path, "/")[1]
		asked = append(asked, name+r.URL.Query().Get("after"))
		next := answers[name][0]
		answers[name] = answers[name][1:]
		if next.Instance == "" {
			http.Error(w, "later", http.StatusServiceUnavailable)
			return
		}
		_ = json.NewEncoder(w).Encode(next)
	}))
	t.Cleanup(server.Close)
	var warnings bytes.Buffer
	instances := []map[string]*http.Client{{"a": server.Client()}, {"b": server.Client()}}
	source := &logSource{warnings: &warnings, positions: map[string]position{}, base: func(name string) string { return server.URL + "/" + name }}
	var text strings.Builder
	command := &logsCommand{streams: streams{out: &text, err: &warnings}, output: "text"}
	for range 3 {
		for _, i := range instances { // one after the other, so that the order is known
			source.instances = func(context.Context) (map[string]*http.Client, error) { return i, nil }
			entries, err := source.next(t.Context(), accesslog.Query{})
			if err != nil {
				fmt.Fprintln(&warnings, "failed:", strings.ReplaceAll(err.Error(), server.URL, ""))
			}
			if err := command.print(entries); err != nil {
				t.Fatal(err)
			}
		}
	}
	if text.String() != logText {
		t.Errorf("got\n%s\nwant\n%s", text.String(), logText)
	}
	if got, want := strings.Join(asked, " "), "a b a7 b2 a9 a b2"; got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
	want := "meshctl: warning: some entries are missing: istio-telemetry had dropped them before they were read\nfailed: read logs of b: status 503: later\n"
	if warnings.String() != want {
		t.Errorf("warnings\n%s\nwant\n%s", warnings.String(), want)
	}
}

// logAnswer is what the pods of istio-telemetry say.
const logAnswer = `{"instance": "one", "cursor": 1, "entries": [{"namespace": "shop", "workload": "web", "reporter": "destination", "start_time": "1970-01-01T00:00:01Z", "response_code": 200, "method": "GET", "path": "/"}]}`

// TestLogsConnectsToPods asks both pods of istio-telemetry that run, through the API server.
func TestLogsConnectsToPods(t *testing.T) {
	const pods = "/api/v1/namespaces/istio-system/pods"
	running := []corev1.Pod{proxyPod("telemetry-1-a", "Running", "telemetry"), proxyPod("telemetry-1-b", "Running", "telemetry"), proxyPod("telemetry-1-c", "Pending", "telemetry")}
	for i := range running {
		running[i].Namespace = "istio-system"
	}
	kubeconfig := kubeconfigOf(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == pods && r.URL.Query().Get("labelSelector") == "istio=telemetry":
			_ = json.NewEncoder(w).Encode(corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: running})
		case r.Method == http.MethodPost && (r.URL.Path == pods+"/telemetry-1-a/portforward" || r.URL.Path == pods+"/telemetry-1-b/portforward"):
			servePorts(w, r)
		default:
			http.Error(w, "no WebSockets here", http.StatusBadRequest)
		}
	})
	const line = "1970-01-01T00:00:01.000Z  IN   200  -          0ms  GET /  from - without a certificate\n"
	code, out, errs := meshctl(t, "logs", "web", "-n", "shop", "--kubeconfig", kubeconfig)
	if code != 0 || out != line+line || errs != "" {
		t.Errorf("code %d, %s, %s", code, out, errs)
	}
	running = running[2:]
	code, out, errs = meshctl(t, "logs", "web", "-n", "shop", "--kubeconfig", kubeconfig)
	if want := "meshctl: error: no pod of istio-telemetry runs\nmeshctl: hint: is there a mesh in namespace istio-system,"; code != 1 || out != "" || !strings.HasPrefix(errs, want) {
		t.Errorf("without a running pod: code %d, %s, %s", code, out, errs)
	}
}
