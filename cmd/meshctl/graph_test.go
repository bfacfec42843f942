package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/cmd/meshctl/callgraph"
)

// meshctl runs the command line and returns what it wrote.
func meshctl(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), args, streams{nil, &stdout, &stderr})
	return code, stdout.String(), stderr.String()
}

// answerGraphQuery answers the queries of a graph: web calls db, with a tenth of errors.
func answerGraphQuery(w http.ResponseWriter, query string) {
	series := func(reporter, more, value string) string {
		return fmt.Sprintf(`{"metric": {"reporter": %q, "source_workload": "web", "source_workload_namespace": "shop", "destination_workload": "db", "destination_workload_namespace": "shop"%s}, "value": [1, %q]}`, reporter, more, value)
	}
	var list []string
	switch {
	case !strings.Contains(query, `{source_workload_namespace="shop"}[60s]`) || !strings.Contains(query, " or "):
		http.Error(w, "unexpected query", http.StatusBadRequest)
		return
	case strings.Contains(query, "istio_requests_total"):
		list = []string{series("source", `, "response_code": "200"`, "9"), series("source", `, "response_code": "503"`, "1"), series("destination", `, "connection_security_policy": "mutual_tls"`, "9")}
	case strings.Contains(query, "quantile(0.5"):
		list = []string{series("source", "", "12")}
	case strings.Contains(query, "quantile(0.99"):
		list = []string{series("source", "", "2500")}
	}
	fmt.Fprintf(w, `{"data": {"result": [%s]}}`, strings.Join(list, ","))
}

const wantGraph = `CALLS           RATE    ERRORS  P50      P99
web.shop
└─ db.shop  🔒  10.0/s  10.0 %  12.0 ms  2.5 s
`

func TestGraphAsksPrometheus(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answerGraphQuery(w, r.URL.Query().Get("query"))
	}))
	t.Cleanup(server.Close)
	if code, out, errs := meshctl(t, "graph", "--prometheus", server.URL, "-n", "shop"); code != 0 || out != wantGraph {
		t.Errorf("code %d, %s\n%s", code, errs, out)
	}
	code, _, errs := meshctl(t, "graph", "--prometheus", server.URL)
	if code != 1 || !strings.Contains(errs, "400 Bad Request: unexpected query") || !strings.Contains(errs, "hint: is a Prometheus at http") {
		t.Errorf("code %d, %s", code, errs)
	}
}

// TestGraphAsksPrometheusOfMesh goes through an API server that has the Service.
func TestGraphAsksPrometheusOfMesh(t *testing.T) {
	kubeconfig := kubeconfigOf(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/v1/namespaces/istio-system/services/prometheus":
			_ = json.NewEncoder(w).Encode(corev1.Service{TypeMeta: metav1.TypeMeta{Kind: "Service", APIVersion: "v1"}})
		case "/api/v1/namespaces/istio-system/services/http:prometheus:9090/proxy/api/v1/query":
			answerGraphQuery(w, r.URL.Query().Get("query"))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	if code, out, errs := meshctl(t, "graph", "--kubeconfig", kubeconfig, "-n", "shop"); code != 0 || out != wantGraph {
		t.Errorf("code %d, %s\n%s", code, errs, out)
	}
	if code, _, errs := meshctl(t, "graph", "--kubeconfig", kubeconfig); code != 1 || !strings.Contains(errs, "the right to get services/proxy") {
		t.Errorf("code %d, %s", code, errs)
	}
}

// TestGraphReadsProxies has no Prometheus: the proxies count more at each reading.
func TestGraphReadsProxies(t *testing.T) {
	var readings atomic.Int32
	pods := []corev1.Pod{proxyPod("web-1-a", "Running", "istio-proxy")}
	kubeconfig := kubeconfigOf(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/v1/namespaces/shop/pods":
			_ = json.NewEncoder(w).Encode(corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: pods})
		case "/api/v1/namespaces/shop/pods/http:web-1-a:15020/proxy/stats/prometheus":
			fmt.Fprint(w, graphPage(int(readings.Add(1))))
		default:
			w.WriteHeader(http.StatusNotFound)
			_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Reason: metav1.StatusReasonNotFound, Code: 404})
		}
	})
	code, out, errs := meshctl(t, "graph", "--kubeconfig", kubeconfig, "-n", "shop", "--interval", "1s", "-o", "json")
	var g callgraph.Graph
	if err := json.Unmarshal([]byte(out), &g); err != nil || code != 0 || len(g.Edges) != 2 {
		t.Fatalf("%v, code %d, %s: %s", err, code, errs, out)
	}
	in, call := g.Edges[0], g.Edges[1]
	if in.From.Kind != callgraph.KindUnknown || in.To.Name != "web" || *in.MutualTLS != 0 {
		t.Errorf("in %+v", in)
	}
	if call.From.Name != "web" || call.To.Name != "db" || call.Requests <= 5 || call.Requests > 10 || call.Errors != call.Requests || *call.P50 != 10 || call.Connections == 0 || *call.MutualTLS != 1 {
		t.Errorf("call %+v", call)
	}
}

// graphPage is what an agent serves; the names of its own side are not those of the pod.
func graphPage(n int) string {
	return fmt.Sprintf(`# TYPE istio_requests_total counter
istio_requests_total{reporter="destination",source_workload="unknown",destination_workload="admin",response_code="200",connection_security_policy="none"} %d
istio_requests_total{reporter="source",source_workload="admin",source_workload_namespace="kube-system",destination_workload="db",destination_workload_namespace="shop",destination_principal="spiffe://cluster.local/ns/shop/sa/db",response_code="503",destination_app="x"} %d
istio_requests_total{reporter="source",source_workload="admin",source_workload_namespace="kube-system",destination_workload="db",destination_workload_namespace="shop",destination_principal="spiffe://cluster.local/ns/shop/sa/db",response_code="503",destination_app="y"} %d
# TYPE istio_tcp_connections_opened_total counter
istio_tcp_connections_opened_total{reporter="source",source_workload="admin",destination_workload="db",destination_workload_namespace="shop",destination_principal="spiffe://cluster.local/ns/shop/sa/db"} %d
# TYPE istio_request_duration_milliseconds histogram
istio_request_duration_milliseconds_bucket{reporter="source",destination_workload="db",destination_workload_namespace="shop",le="10"} %d
istio_request_duration_milliseconds_bucket{reporter="source",destination_workload="db",destination_workload_namespace="shop",le="20"} %d
istio_request_duration_milliseconds_bucket{reporter="source",destination_workload="db",destination_workload_namespace="shop",le="+Inf"} %d
istio_request_duration_milliseconds_sum{reporter="source",destination_workload="db",destination_workload_namespace="shop"} 1
istio_request_duration_milliseconds_count{reporter="source",destination_workload="db",destination_workload_namespace="shop"} %d
`, n, 4*n, 6*n, n, 5*n, 10*n, 10*n, 10*n)
}

func TestGraphRefusesBadArguments(t *testing.T) {
	for args, want := range map[string]string{
		"--interval 10ms":     "meshctl: hint: write --interval 1s or more",
		"-o png":              "meshctl: hint: write -o tree, -o dot, -o svg or -o json",
		"-o svg --watch":      "meshctl: hint: leave --watch out",
		"--prometheus x":      "meshctl: hint: write --prometheus http://host:port",
		"--kubeconfig /none/": "meshctl: hint: name one with --kubeconfig",
	} {
		if code, _, errs := meshctl(t, append([]string{"graph"}, strings.Fields(args)...)...); code != 1 || !strings.Contains(errs, want) {
			t.Errorf("%s: code %d, %s", args, code, errs)
		}
	}
}
