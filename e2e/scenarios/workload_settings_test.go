package scenarios

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// uncaptured is a server whose port an annotation keeps out of its sidecar, and hooked one of which a hook of the other
// container is called by the kubelet over HTTP.
const (
	uncaptured = `
apiVersion: v1
kind: Service
metadata: {name: uncaptured}
spec: {selector: {app: uncaptured}, ports: [{name: http, port: 8000, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: uncaptured}
spec:
  selector: {matchLabels: {app: uncaptured}}
  template:
    metadata:
      labels: {app: uncaptured}
      annotations: {traffic.sidecar.istio.io/excludeInboundPorts: "8080"}
    spec:
      containers: [{name: httpbin, image: "quay.io/mesh-operator/httpbin:0.1.0"}]
`
	hooked = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: hooked}
spec:
  selector: {matchLabels: {app: hooked}}
  template:
    metadata: {labels: {app: hooked}}
    spec:
      containers:
      - {name: server, image: "quay.io/mesh-operator/httpbin:0.1.0"}
      - name: caller
        image: quay.io/mesh-operator/sleep:0.1.0
        command: [/bin/sleep, infinity]
        lifecycle: {postStart: {httpGet: {path: /anything/hook, port: 8080}}}
`
)

// TestWorkloadSettings runs pods with settings of their own in a strict mesh.
func TestWorkloadSettings(t *testing.T) {
	readyMesh(t)
	namespace(t, "settings", injected)
	must(t, mesh.Apply(within(t, time.Minute), "settings", uncaptured))
	must(t, mesh.Apply(within(t, time.Minute), "settings", hooked))
	deploy(t, "settings", sleepSample) // which waits for all three
	t.Run("a port outside of the sidecar is called in plain text", func(t *testing.T) {
		eventuallyStatus(t, "it is answered", 200, "settings", "http://uncaptured:8000/status/200")
	})
	t.Run("a postStart hook arrives", func(t *testing.T) {
		eventuallyLogs(t, "settings", "app=hooked", "server", "/anything/hook")
	})
}

// limited is a pod whose own container and proxy have limits.
const limited = `
apiVersion: v1
kind: Pod
metadata:
  name: limited
  namespace: limits
  annotations: {sidecar.istio.io/proxyCPULimit: "1", sidecar.istio.io/proxyMemoryLimit: 256Mi}
spec:
  containers: [{name: sleep, image: "quay.io/mesh-operator/sleep:0.1.0", resources: {limits: {cpu: 100m, memory: 32Mi}}}]
`

// TestLimitsQuota: a ResourceQuota on limits admits an injected pod when the limits of its proxy are set; istio-init has its own.
func TestLimitsQuota(t *testing.T) {
	readyMesh(t)
	namespace(t, "limits", injected)
	must(t, mesh.Apply(within(t, time.Minute), "limits", `
apiVersion: v1
kind: ResourceQuota
metadata: {name: limits}
spec: {hard: {limits.cpu: "10", limits.memory: 10Gi}}
`))
	for annotation, want := range map[string]string{"sidecar.istio.io/proxyMemoryLimit": "", "example.com/other": "istio-proxy"} {
		objects, err := lab.Objects(strings.ReplaceAll(limited, "sidecar.istio.io/proxyMemoryLimit", annotation))
		must(t, err)
		must(t, lab.Until(within(t, time.Minute), "the quota is counted", func(ctx context.Context) error {
			answer, err := mesh.TryCreate(ctx, objects[0])
			if err == nil && ((answer.Refusal == "") != (want == "") || !strings.Contains(answer.Refusal, want) || strings.Contains(answer.Refusal, "istio-init")) {
				err = fmt.Errorf("refusal %q, want %q", answer.Refusal, want)
			}
			return err
		}))
	}
}

// TestKilledEnvoy kills the Envoy of a gateway: the agent starts another, and the container does not end.
func TestKilledEnvoy(t *testing.T) {
	readyMesh(t)
	pod, err := mesh.RunningPod(within(t, 30*time.Second), "istio-system", "istio=egressgateway")
	must(t, err)
	killed, err := mesh.Kill(pod, "envoy")
	must(t, err)
	must(t, lab.Until(within(t, time.Minute), "another Envoy serves", func(ctx context.Context) error {
		now, err := mesh.Process(pod, "envoy")
		if err != nil || now == killed {
			return fmt.Errorf("process %d after %d: %w", now, killed, err)
		}
		ports, err := mesh.Listening(ctx, pod)
		if err == nil && !slices.Contains(ports, 15090) {
			err = errors.New("it does not listen")
		}
		return err
	}))
	after, err := mesh.Client.CoreV1().Pods(pod.Namespace).Get(within(t, 30*time.Second), pod.Name, metav1.GetOptions{})
	must(t, err)
	if before, now := restarts(pod), restarts(after); before != now {
		t.Errorf("containers restarted %d times, %d before", now, before)
	}
}

func restarts(pod *corev1.Pod) (n int32) {
	for _, c := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		n += c.RestartCount
	}
	return n
}
