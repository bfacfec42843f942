package scenarios

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// sample is one series of the answer to a query.
type sample struct {
	Metric map[string]string
	Value  [2]any
}

// query asks the mesh's Prometheus, for now or for the time at.
func query(ctx context.Context, expression string, at ...time.Time) ([]sample, error) {
	values := url.Values{"query": {expression}}
	for _, t := range at {
		values.Set("time", t.Format(time.RFC3339Nano))
	}
	client := mesh.ThroughPod("istio-system", "app=prometheus", 9090)
	defer client.CloseIdleConnections()
	reply, err := lab.Get(ctx, lab.Request{URL: "http://prometheus/api/v1/query?" + values.Encode(), Client: client})
	if err != nil {
		return nil, err
	}
	var answer struct {
		Error string
		Data  struct{ Result []sample }
	}
	if err := json.Unmarshal([]byte(reply.Body), &answer); err != nil || answer.Error != "" {
		return nil, fmt.Errorf("query %s: status %d: %.300s", expression, reply.Status, reply.Body)
	}
	return answer.Data.Result, nil
}

// eventuallyQuery waits until a query's only value is as expected.
func eventuallyQuery(t *testing.T, expression, want string) {
	t.Helper()
	must(t, lab.Until(within(t, 2*time.Minute), expression+" is "+want, func(ctx context.Context) error {
		result, err := query(ctx, expression)
		if err == nil && (len(result) != 1 || result[0].Value[1] != want) {
			err = fmt.Errorf("the answer is %v", result)
		}
		return err
	}))
}

const annotatedHTTPBin = `
apiVersion: v1
kind: Pod
metadata:
  name: annotated
  annotations: {prometheus.io/scrape: "true", prometheus.io/port: "8080", prometheus.io/path: /status/200}
  labels: {app: annotated}
spec:
  containers:
  - {name: httpbin, image: %s, imagePullPolicy: IfNotPresent}
`

// TestPrometheus queries what Prometheus collects while only mutual TLS is accepted: of the control plane, of sidecars and gateways
// with the call graph of a page, and of a pod without a sidecar that asks for it.
func TestPrometheus(t *testing.T) {
	readyMesh(t)
	sharedBookinfo(t)
	for _, component := range []string{"pilot", "citadel", "galley", "sidecarInjector", "telemetry"} {
		eventuallyQuery(t, fmt.Sprintf("min(up{job=%q, component=%q})", "istio-control-plane", component), "1")
	}
	eventuallyQuery(t, `min(up{job="istio-control-plane", namespace="istio-operator"})`, "1")
	eventuallyQuery(t, `count(envoy_server_live{job="istio-proxies", namespace="bookinfo", app=~"productpage|details|ratings|reviews"} == 1)`, "6")
	eventuallyQuery(t, `count(envoy_server_live{namespace="istio-system", app="istio-ingressgateway"} == 1)`, "1")
	eventuallyQuery(t, `count(pilot_xds)`, "1")
	eventuallyQuery(t, `count(mesh:proxies:pods)`, "1")

	must(t, opensPage(within(t, time.Minute), site{namespace: bookinfo}))
	for _, edge := range []string{
		`reporter="source", source_workload="istio-ingressgateway", destination_workload="productpage-v1", destination_service_name="productpage"`,
		`reporter="source", source_workload="productpage-v1", destination_workload="details-v1", destination_service_namespace="bookinfo"`,
		`reporter="destination", source_workload="productpage-v1", destination_workload="details-v1", connection_security_policy="mutual_tls"`,
		`reporter="destination", source_workload="istio-ingressgateway", source_workload_namespace="istio-system", destination_workload="productpage-v1"`,
	} {
		eventuallyQuery(t, `count(sum(istio_requests_total{response_code="200", `+edge+`}))`, "1")
	}

	namespace(t, "scraped", nil)
	pods, err := mesh.Client.CoreV1().Pods("bookinfo").List(within(t, 30*time.Second), metav1.ListOptions{LabelSelector: "app=details"})
	must(t, err)
	if len(pods.Items) == 0 {
		t.Fatal("no pod of details")
	}
	apply(t, "scraped", fmt.Sprintf(annotatedHTTPBin, httpbinImage(t)))
	eventuallyQuery(t, `count(up{job="kubernetes-pods", namespace="scraped", pod="annotated"} == 1)`, "1")
	// A pod with a sidecar is scraped once, by the agent's port.
	result, err := query(within(t, 30*time.Second), fmt.Sprintf("up{pod=%q}", pods.Items[0].Name))
	must(t, err)
	if len(result) != 1 || result[0].Metric["job"] != "istio-proxies" {
		t.Errorf("targets of a pod with a sidecar: %v", result)
	}
	result, err = query(within(t, 30*time.Second), `up{job="istio-proxies", namespace="bookinfo"} == 0`)
	must(t, err)
	if len(result) != 0 {
		t.Errorf("proxies that do not answer: %v", result)
	}
}

// httpbinImage is the image that the sample names.
func httpbinImage(t *testing.T) string {
	t.Helper()
	objects, err := lab.Objects(read(t, "samples/httpbin/httpbin.yaml"))
	must(t, err)
	for _, object := range objects {
		if object.GetKind() != "Deployment" {
			continue
		}
		spec := object.Object["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)
		return spec["containers"].([]any)[0].(map[string]any)["image"].(string)
	}
	t.Fatal("the sample has no Deployment")
	return ""
}

// TestInstallationPrometheusVolume restarts Prometheus with a volume: it still knows what it collected before.
func TestInstallationPrometheusVolume(t *testing.T) {
	installation(t)
	claims := mesh.Client.CoreV1().PersistentVolumeClaims("istio-system")
	atEnd(t, time.Minute, func(ctx context.Context) error {
		return claims.Delete(ctx, "prometheus", metav1.DeleteOptions{}) // the operator keeps it
	})
	edit(t, `{"spec":{"prometheus":{"enabled":true,"retention":"2d","volume":{"size":"1Gi"}}}}`)
	eventuallyQuery(t, `min(up{job="istio-control-plane", component="pilot"})`, "1")
	before := time.Now()
	restart(t, "istio-system", "prometheus")
	must(t, lab.Until(within(t, 2*time.Minute), "the metrics from before are there", func(ctx context.Context) error {
		result, err := query(ctx, `up{job="istio-control-plane", component="pilot"}`, before)
		if err == nil && len(result) == 0 {
			err = fmt.Errorf("there are none")
		}
		return err
	}))
}
