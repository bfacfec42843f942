package scenarios

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// unlisted is a pod without a Service. One of its ports is also a port of HTTP services, where sidecars match the host of each
// request; no service has the other port.
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

// TestInstallationOutboundPolicy calls a pod without a Service: REGISTRY_ONLY, the default, refuses it and ALLOW_ANY allows it.
func TestInstallationOutboundPolicy(t *testing.T) {
	installation(t)
	sharedBookinfo(t)
	plaintextClient(t)
	apply(t, outside, unlisted)
	var address string
	must(t, lab.Until(within(t, 2*time.Minute), "the pod is ready", func(ctx context.Context) error {
		pod, err := mesh.RunningPod(ctx, outside, "app=unlisted")
		if err == nil {
			address = pod.Status.PodIP
		}
		return err
	}))
	http, other := fmt.Sprintf("http://%s:9080/status/200", address), fmt.Sprintf("http://%s:7777/status/200", address)
	eventuallyStatus(t, "it answers a pod without a sidecar", 200, outside, other)
	refused := func(t *testing.T) {
		t.Helper()
		eventuallyStatus(t, "HTTP to an unknown host is refused", 502, bookinfo, http)
		eventuallyStatus(t, "a connection to an unknown address is closed", 0, bookinfo, other)
	}
	refused(t)
	t.Run("ALLOW_ANY", func(t *testing.T) {
		edit(t, `{"spec":{"mesh":{"outboundTrafficPolicy":"ALLOW_ANY"}}}`)
		eventuallyStatus(t, "HTTP to an unknown host is answered", 200, bookinfo, http)
		eventuallyStatus(t, "a connection to an unknown address is answered", 200, bookinfo, other)
		eventuallyStatus(t, "services of the mesh are answered", 200, bookinfo, "http://details:9080/details/0")
	})
	refused(t)
}
