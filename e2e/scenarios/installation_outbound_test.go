package scenarios

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// unlisted is a pod that no Service leads to. One of its ports is also a port of services with HTTP, where a sidecar looks
// at the host of each request; the other is unknown to the mesh altogether.
const unlisted = `
apiVersion: v1
kind: Pod
metadata: {name: unlisted, labels: {app: unlisted}}
spec:
  terminationGracePeriodSeconds: 0
  automountServiceAccountToken: false
  containers:
  - name: http
    image: quay.io/mesh-operator/httpbin:0.1.0
    env: [{name: PORT, value: "9080"}]
    readinessProbe: {httpGet: {path: /health, port: 9080}, periodSeconds: 1}
  - name: other
    image: quay.io/mesh-operator/httpbin:0.1.0
    env: [{name: PORT, value: "7777"}]
    readinessProbe: {httpGet: {path: /health, port: 7777}, periodSeconds: 1}
`

// TestOutbound calls what the mesh does not know: REGISTRY_ONLY, the default, refuses it and ALLOW_ANY lets it through.
func TestOutbound(t *testing.T) {
	outsiders(t)
	apply(t, outside, unlisted)
	var address string
	must(t, lab.Until(within(t, time.Minute), "the pod without a Service runs", func(ctx context.Context) error {
		pod, err := mesh.RunningPod(ctx, outside, "app=unlisted")
		if err == nil {
			address = pod.Status.PodIP
		}
		return err
	}))
	http, other := fmt.Sprintf("http://%s:9080/status/200", address), fmt.Sprintf("http://%s:7777/status/200", address)
	eventuallyStatus(t, "it answers a pod without a sidecar", 200, outside, "app=sleep", "sleep", other)
	refused := func(t *testing.T) {
		t.Helper()
		eventuallyStatus(t, "HTTP to an unknown host is refused", 502, bookinfo, "app=sleep", "sleep", http)
		eventuallyStatus(t, "a connection to an unknown address is closed", 0, bookinfo, "app=sleep", "sleep", other)
	}
	refused(t)
	t.Run("ALLOW_ANY", func(t *testing.T) {
		change(t, `{"spec":{"mesh":{"outboundTrafficPolicy":"ALLOW_ANY"}}}`, `{"spec":{"mesh":null}}`)
		eventuallyStatus(t, "HTTP to an unknown host passes", 200, bookinfo, "app=sleep", "sleep", http)
		eventuallyStatus(t, "a connection to an unknown address passes", 200, bookinfo, "app=sleep", "sleep", other)
		eventuallyStatus(t, "the mesh goes on", 200, bookinfo, "app=sleep", "sleep", "http://details:9080/details/0")
	})
	refused(t)
}
