package scenarios

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// TestStatus reads what the resource tells about the mesh and checks it against the cluster.
func TestStatus(t *testing.T) {
	t.Run("the page opens at an endpoint", endpointsAnswer)
	t.Run("images can be mirrored", func(t *testing.T) {
		in, err := mesh.Installation(within(t, 30*time.Second))
		must(t, err)
		images, _, _ := unstructured.NestedStringSlice(in.Object, "status", "images")
		if text := strings.Join(images, " "); len(images) != 2 || !strings.Contains(text, "/mesh-operator") || !strings.Contains(text, "/proxyv2") {
			t.Errorf("images are %v, want one of mesh-operator and one of proxyv2", images)
		}
	})
	t.Run("proxies are counted", func(t *testing.T) {
		dataPlaneSettled(t)
		counts, err := dataPlane(within(t, 30*time.Second))
		must(t, err)
		if counts["outdated"] != 0 {
			t.Errorf("status.dataPlane is %v, want nothing outdated", counts)
		}
	})
	t.Run("a setting of the sidecar makes all of them outdated, and a proxy that does not connect is not in step", otherCounts)
}

// otherCounts changes both numbers at once: they are counted once a minute.
func otherCounts(t *testing.T) {
	before, err := dataPlane(within(t, 30*time.Second))
	must(t, err)
	change(t, `{"spec":{"injection":{"proxy":{"logLevel":"error"}}}}`, `{"spec":{"injection":null}}`)
	namespace(t, "disconnected", nil)
	apply(t, "disconnected", disconnected)
	must(t, lab.Until(within(t, 150*time.Second), "they are counted", func(ctx context.Context) error {
		now, err := dataPlane(ctx)
		if err != nil {
			return err
		}
		pods, err := proxyPods(ctx)
		if err != nil {
			return err
		}
		outdated := int64(1) // the disconnected pod has no version at all
		for _, pod := range pods {
			if pod.Annotations["sidecar.istio.io/status"] != "" {
				outdated++
			}
		}
		if now["outdated"] != outdated || outdated == 1 {
			return fmt.Errorf("status.dataPlane is %v, want %d outdated", now, outdated)
		}
		if now["notSynced"] != before["notSynced"]+1 || now["proxies"] != before["proxies"]+1 {
			return fmt.Errorf("status.dataPlane is %v, and was %v", now, before)
		}
		return nil
	}))
}

// disconnected is a pod that looks like one with a sidecar and never calls pilot.
const disconnected = `
apiVersion: v1
kind: Pod
metadata: {name: disconnected}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 0
  containers:
  - {name: app, image: "quay.io/mesh-operator/sleep:0.1.0", command: [/bin/sleep, infinity]}
  - {name: istio-proxy, image: "quay.io/mesh-operator/sleep:0.1.0", command: [/bin/sleep, infinity], args: [proxy, sidecar]}
`

// endpointsAnswer opens the page from a pod that has nothing to do with the mesh, as the guide says.
func endpointsAnswer(t *testing.T) {
	const visitor = "visitor"
	namespace(t, visitor, nil)
	must(t, mesh.ApplyFile(within(t, time.Minute), visitor, "samples/sleep/sleep.yaml"))
	must(t, mesh.Available(within(t, 2*time.Minute), visitor))
	text, err := mesh.Kubectl(within(t, 30*time.Second), "get", "-n", "istio-operator", "installation", "istio-installation",
		"-o", `jsonpath={.status.endpoints[?(@.name=="istio-ingressgateway")].url}`)
	must(t, err)
	opened := 0
	for _, url := range strings.Fields(text) {
		if strings.HasPrefix(url, "http://") {
			eventuallyStatus(t, "the page opens at "+url, 200, visitor, "app=sleep", "sleep", url+"/productpage")
			opened++
		}
	}
	if opened == 0 || !strings.Contains(text, "https://") {
		t.Errorf("status.endpoints has %q, want http and https", text)
	}
}

// dataPlaneSettled waits until status.dataPlane agrees with the pods of the cluster, of which it hears once a minute.
func dataPlaneSettled(t *testing.T) {
	t.Helper()
	must(t, lab.Until(within(t, 150*time.Second), "status.dataPlane agrees with the cluster", func(ctx context.Context) error {
		counts, err := dataPlane(ctx)
		if err != nil {
			return err
		}
		pods, err := proxyPods(ctx)
		if err != nil {
			return err
		}
		if counts["proxies"] != int64(len(pods)) || counts["notSynced"] != 0 {
			return fmt.Errorf("it is %v, with %d proxies in the cluster", counts, len(pods))
		}
		return nil
	}))
}

func dataPlane(ctx context.Context) (map[string]int64, error) {
	in, err := mesh.Installation(ctx)
	if err != nil {
		return nil, err
	}
	out := map[string]int64{}
	for _, field := range []string{"proxies", "outdated", "notSynced"} {
		if value, ok, _ := unstructured.NestedInt64(in.Object, "status", "dataPlane", field); ok {
			out[field] = value
		}
	}
	return out, nil
}

// proxyPods are the running pods with a sidecar, and the gateways.
func proxyPods(ctx context.Context) ([]corev1.Pod, error) {
	pods, err := mesh.Client.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "status.phase=Running"})
	if err != nil {
		return nil, err
	}
	var out []corev1.Pod
	for _, pod := range pods.Items {
		gateway := pod.Namespace == "istio-system" && pod.Spec.Containers[0].Name == "istio-proxy"
		if pod.DeletionTimestamp == nil && (gateway || pod.Annotations["sidecar.istio.io/status"] != "") {
			out = append(out, pod)
		}
	}
	return out, nil
}
