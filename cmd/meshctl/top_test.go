package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// metricsPage is what an agent serves after so many hundred requests in, of which a tenth failed, and tens of requests out. Names of
// workloads in it are not those of the pod: the pod writes them.
func metricsPage(n int) string {
	return fmt.Sprintf(`# TYPE istio_requests_total counter
istio_requests_total{reporter="destination",destination_workload="admin",response_code="200"} %d
istio_requests_total{reporter="destination",destination_workload="admin",response_code="503"} %d
istio_requests_total{reporter="source",source_workload="admin",response_code="200",grpc_response_status="14"} %d
# TYPE istio_request_duration_milliseconds histogram
istio_request_duration_milliseconds_bucket{reporter="destination",le="10"} %d
istio_request_duration_milliseconds_bucket{reporter="destination",le="20"} %d
istio_request_duration_milliseconds_bucket{reporter="destination",le="+Inf"} %d
istio_request_duration_milliseconds_sum{reporter="destination"} 1
istio_request_duration_milliseconds_count{reporter="destination"} %d
`, 90*n, 10*n, 10*n, 50*n, 100*n, 100*n, 100*n)
}

func proxyPod(name, phase, container string) corev1.Pod {
	controller := true
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: map[string]string{"pod-template-hash": "1"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: strings.Split(name, "-")[0] + "-1", Controller: &controller}}},
		Spec:   corev1.PodSpec{Containers: []corev1.Container{{Name: container}}},
		Status: corev1.PodStatus{Phase: corev1.PodPhase(phase)},
	}
}

// fakeAPI is an API server with pods whose proxies have counted more at each reading. It gives back the path of a kubeconfig.
func fakeAPI(t *testing.T, pods ...corev1.Pod) string {
	t.Helper()
	var readings atomic.Int32
	return kubeconfigOf(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/v1/namespaces/shop/pods":
			_ = json.NewEncoder(w).Encode(corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: pods})
		case "/api/v1/namespaces/shop/pods/http:web-1-a:15020/proxy/stats/prometheus":
			fmt.Fprint(w, metricsPage(int(readings.Add(1))))
		default:
			w.WriteHeader(http.StatusForbidden)
			_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Message: "not\x1b allowed", Code: 403})
		}
	})
}

// kubeconfigOf starts a server in the place of an API server, and returns the path of a kubeconfig for it.
func kubeconfigOf(t *testing.T, serve http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		serve(w, r)
	}))
	t.Cleanup(server.Close)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	config := api.Config{
		Clusters: map[string]*api.Cluster{"c": {Server: server.URL}}, Contexts: map[string]*api.Context{"c": {Cluster: "c"}}, CurrentContext: "c",
	}
	if err := clientcmd.WriteToFile(config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTopReadsProxies(t *testing.T) {
	kubeconfig := fakeAPI(t, proxyPod("web-1-a", "Running", "istio-proxy"), proxyPod("silent-1-a", "Running", "istio-proxy"),
		proxyPod("done-1-a", "Succeeded", "istio-proxy"), proxyPod("plain-1-a", "Running", "app"))
	code, out, errs := meshctl(t, "top", "--kubeconfig", kubeconfig, "-n", "shop", "--once", "--interval", "1s", "-o", "json")
	if code != 0 || strings.Count(errs, "1 of 2 proxies do not answer") != 2 || strings.Contains(errs, "\x1b") {
		t.Errorf("code %d, %s", code, errs)
	}
	var rows []topRow
	if err := json.Unmarshal([]byte(out), &rows); err != nil || len(rows) != 1 {
		t.Fatalf("%v in %s", err, out)
	}
	r := rows[0]
	if r.Namespace != "shop" || r.Workload != "web" || r.Pods != 1 {
		t.Errorf("row of %s/%s, %d pods", r.Namespace, r.Workload, r.Pods)
	}
	if r.In.Requests <= 50 || r.In.Requests > 100 || *r.In.P50 != 10 || *r.In.P99 != 19.8 {
		t.Errorf("in %+v", r.In)
	}
	if share := r.In.Errors / r.In.Requests; share < 0.099 || share > 0.101 {
		t.Errorf("%v of the requests are errors", share)
	}
	if r.Out.Errors != r.Out.Requests || r.Out.Requests == 0 || r.Out.P50 != nil {
		t.Errorf("out %+v", r.Out)
	}
}

func TestTopOfNoProxies(t *testing.T) {
	for name, c := range map[string]struct {
		pods []corev1.Pod
		want string
	}{
		"no proxy":    {nil, "error: no running pod has a proxy\nmeshctl: hint: name another namespace with -n"},
		"not allowed": {[]corev1.Pod{proxyPod("silent-1-a", "Running", "istio-proxy")}, "hint: the right to get pods/proxy is needed"},
	} {
		if code, out, errs := meshctl(t, "top", "--kubeconfig", fakeAPI(t, c.pods...), "-n", "shop", "--once"); code != 1 || out != "" || !strings.Contains(errs, c.want) {
			t.Errorf("%s: code %d, %q, %s", name, code, out, errs)
		}
	}
}

func TestTopRefusesBadArguments(t *testing.T) {
	for args, want := range map[string]string{
		"--interval 10ms":     "meshctl: hint: write --interval 1s or more",
		"-o yaml":             "meshctl: hint: write -o table or -o json",
		"--prometheus x":      "meshctl: hint: write --prometheus http://host:port",
		"--kubeconfig /none/": "meshctl: hint: name one with --kubeconfig",
	} {
		if code, _, errs := meshctl(t, append([]string{"top"}, strings.Fields(args)...)...); code != 1 || !strings.Contains(errs, want) {
			t.Errorf("%s: code %d, %s", args, code, errs)
		}
	}
}

// TestTopRows adds up two pods, of which one has started again, and leaves out one that has just come.
func TestTopRows(t *testing.T) {
	at := time.Unix(0, 0)
	in := func(requests, errors, fast, all float64) counts {
		return counts{requests, errors, map[float64]float64{10: fast, 100: all}}
	}
	before := map[string]sample{"a": {"ns", "w", at, in(100, 10, 50, 100), counts{}}, "b": {"ns", "w", at, in(1000, 0, 1000, 1000), counts{}}}
	now := map[string]sample{
		"a": {"ns", "w", at.Add(2 * time.Second), in(120, 15, 60, 120), counts{}}, "b": {"ns", "w", at.Add(2 * time.Second), in(10, 0, 10, 10), counts{}},
		"c": {"ns", "w", at.Add(2 * time.Second), in(500, 0, 500, 500), counts{}},
	}
	got := topTable(rowsOf(before, now))
	want := `NAMESPACE  WORKLOAD  IN/s  ERRORS  P50     P99      OUT/s  ERRORS  P50  P99
ns         w         15.0  16.7 %  7.5 ms  97.3 ms  -      -       -    -
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestTopAsksPrometheus answers each query of one side with the query's kind.
func TestTopAsksPrometheus(t *testing.T) {
	var queries []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query().Get("query")
		queries = append(queries, q)
		value := "8"
		switch {
		case r.URL.Path != "/prometheus/api/v1/query" || !strings.Contains(q, `_workload_namespace="shop"`) || !strings.Contains(q, "[60s]"):
			http.Error(w, "no", http.StatusBadRequest)
			return
		case strings.Contains(q, `reporter="source"`):
			fmt.Fprint(w, `{"data": {"result": []}}`)
			return
		case strings.Contains(q, "quantile(0.5"):
			value = "12"
		case strings.Contains(q, "quantile(0.99"):
			value = "NaN"
		case strings.Contains(q, "5.."):
			value = "2"
		}
		fmt.Fprintf(w, `{"data": {"result": [{"metric": {"destination_workload": "web\u001b", "destination_workload_namespace": "shop"}, "value": [1, %q]}]}}`, value)
	}))
	t.Cleanup(server.Close)
	code, out, errs := meshctl(t, "top", "--prometheus", server.URL+"/prometheus/", "-n", "shop", "--once")
	want := `NAMESPACE  WORKLOAD  IN/s  ERRORS  P50      P99  OUT/s  ERRORS  P50  P99
shop       web?      8.0   25.0 %  12.0 ms  -    -      -       -    -
`
	if diff := cmp.Diff(want, out); code != 0 || diff != "" {
		t.Errorf("code %d, %s (-want +got):\n%s\n%s", code, errs, diff, strings.Join(queries, "\n"))
	}
}
