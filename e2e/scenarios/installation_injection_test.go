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

const probedSpace = "probed"

// probed is a pod with HTTP and TCP probes, which the kubelet restarts soon when its probes fail, and with settings of its own
// in Istio's annotation.
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

// TestInstallationProxySettings changes the settings and pull secrets of sidecars: new pods have them, and the kubelet's probes
// reach such a pod under strict mutual TLS.
func TestInstallationProxySettings(t *testing.T) {
	installation(t)
	namespace(t, probedSpace, injected)
	edit(t, `{"spec":{"images":{"pullSecrets":[{"name":"mirror"}]},"injection":{"proxy":{"logLevel":"info","concurrency":1,"resources":{"requests":{"cpu":"15m","memory":"70Mi"}}}}}}`)
	must(t, lab.Until(within(t, 30*time.Second), "new pods have the settings", hasSettings))
	apply(t, probedSpace, probed)
	must(t, lab.Until(within(t, 2*time.Minute), "it is ready for ten seconds", func(ctx context.Context) error {
		pod, err := mesh.RunningPod(ctx, probedSpace, "app=probed")
		if err != nil {
			return err
		}
		status := pod.Status.ContainerStatuses[0]
		switch {
		case status.RestartCount > 0:
			t.Fatal("the kubelet restarted it: its probes fail")
		case status.State.Running == nil || time.Since(status.State.Running.StartedAt.Time) < 10*time.Second:
			return errors.New("it has run for less than ten seconds")
		}
		return nil
	}))
}

// hasSettings creates the pod as a dry run and compares its sidecar with the settings.
func hasSettings(ctx context.Context) error {
	objects, err := lab.Objects(probed)
	if err != nil {
		return err
	}
	var pod corev1.Pod
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(objects[0].Object, &pod); err != nil {
		return err
	}
	created, err := mesh.Client.CoreV1().Pods(probedSpace).Create(ctx, &pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
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
