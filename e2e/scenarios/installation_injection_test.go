package scenarios

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// probed is a pod whose container is asked for its health in both ways that go through the network, and which the kubelet
// would kill soon if mutual TLS stood in between. It has settings of its own, in Istio's words.
const probed = `
apiVersion: v1
kind: Pod
metadata:
  name: probed
  labels: {app: probed}
  annotations: {proxy.istio.io/config: "{terminationDrainDuration: 2s, drainDuration: 30s, tracing: {sampling: 10}}"}
spec:
  terminationGracePeriodSeconds: 0
  automountServiceAccountToken: false
  containers:
  - name: httpbin
    image: quay.io/mesh-operator/httpbin:0.1.0
    ports: [{name: web, containerPort: 8080}]
    startupProbe: {httpGet: {path: /health, port: web}, periodSeconds: 1, failureThreshold: 30}
    readinessProbe: {httpGet: {path: /health, port: 8080}, periodSeconds: 1}
    livenessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1, timeoutSeconds: 5, failureThreshold: 4}
`

// TestProxySettings changes what sidecars are started with, and whose credentials they are pulled with: pods created afterwards
// have it, and under strict mutual TLS the kubelet's probes reach them.
func TestProxySettings(t *testing.T) {
	change(t, `{"spec":{"images":{"pullSecrets":[{"name":"mirror"}]},"injection":{"proxy":{"logLevel":"info","concurrency":1,"resources":{"requests":{"cpu":"15m","memory":"70Mi"}}}}}}`,
		`{"spec":{"images":null,"injection":null}}`)
	must(t, lab.Until(within(t, 15*time.Second), "Ready means that a new pod would have the settings", hasSettings))
	apply(t, bookinfo, probed)
	must(t, lab.Until(within(t, time.Minute), "it is ready for ten seconds", func(ctx context.Context) error {
		pod, err := mesh.RunningPod(ctx, bookinfo, "app=probed")
		if err != nil {
			return err
		}
		status := pod.Status.ContainerStatuses[0]
		switch {
		case status.RestartCount > 0:
			t.Fatal("the kubelet restarted it: its probes do not get through")
		case status.State.Running == nil || time.Since(status.State.Running.StartedAt.Time) < 10*time.Second:
			return errors.New("it runs not long enough to know")
		}
		return nil
	}))
}

// hasSettings asks what a pod would become, without creating it.
func hasSettings(ctx context.Context) error {
	objects, err := lab.Objects(probed)
	if err != nil {
		return err
	}
	var pod corev1.Pod
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(objects[0].Object, &pod); err != nil {
		return err
	}
	created, err := mesh.Client.CoreV1().Pods(bookinfo).Create(ctx, &pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return err
	}
	if secrets := created.Spec.ImagePullSecrets; len(secrets) != 1 || secrets[0].Name != "mirror" {
		return fmt.Errorf("its pull secrets are %v", secrets)
	}
	if c := sidecarOf(created); c != nil {
		return compareSettings(*c)
	}
	return errors.New("it has no proxy")
}

func compareSettings(proxy corev1.Container) error {
	env := map[string]string{}
	for _, e := range proxy.Env {
		env[e.Name] = e.Value
	}
	requests := proxy.Resources.Requests
	if env["PROXY_LOG_LEVEL"] != "info" || env["PROXY_CONCURRENCY"] != "1" || requests.Cpu().String() != "15m" || requests.Memory().String() != "70Mi" {
		return fmt.Errorf("log level %s, concurrency %s, requests %v", env["PROXY_LOG_LEVEL"], env["PROXY_CONCURRENCY"], requests)
	}
	if env["TERMINATION_DRAIN_DURATION"] != "2s" || env["DRAIN_DURATION"] != "30s" {
		return fmt.Errorf("of the pod's own settings it has %q and %q", env["TERMINATION_DRAIN_DURATION"], env["DRAIN_DURATION"])
	}
	return nil
}
