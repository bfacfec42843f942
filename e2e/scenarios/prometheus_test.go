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

// query asks the mesh's Prometheus.
func query(ctx context.Context, expression string) ([]sample, error) {
	values := url.Values{"query": {expression}}
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

// TestPrometheus queries what Prometheus collects while only mutual TLS is accepted: of the control plane, of sidecars and gateways,
// and of a pod without a sidecar that asks for it.
func TestPrometheus(t *testing.T) {
	readyMesh(t)
	sharedBookinfo(t)
	for _, component := range []string{"pilot", "citadel", "galley", "sidecarInjector"} {
		eventuallyQuery(t, fmt.Sprintf("min(up{job=%q, component=%q})", "istio-control-plane", component), "1")
	}
	eventuallyQuery(t, `min(up{job="istio-control-plane", namespace="istio-operator"})`, "1")
	eventuallyQuery(t, `count(envoy_server_live{job="istio-proxies", namespace="bookinfo", app=~"productpage|details|ratings|reviews"} == 1)`, "6")
	eventuallyQuery(t, `count(envoy_server_live{namespace="istio-system", app="istio-ingressgateway"} == 1)`, "1")
	eventuallyQuery(t, `count(pilot_xds)`, "1")
	eventuallyQuery(t, `count(mesh:proxies:pods)`, "1")

	namespace(t, "annotated", nil)
	pods, err := mesh.Client.CoreV1().Pods("bookinfo").List(within(t, 30*time.Second), metav1.ListOptions{LabelSelector: "app=details"})
	must(t, err)
	if len(pods.Items) == 0 {
		t.Fatal("no pod of details")
	}
	apply(t, "annotated", fmt.Sprintf(annotatedHTTPBin, httpbinImage(t)))
	eventuallyQuery(t, `count(up{job="kubernetes-pods", namespace="annotated", pod="annotated"} == 1)`, "1")
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
