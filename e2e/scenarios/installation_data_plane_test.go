package scenarios

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// TestInstallationDataPlane compares status.dataPlane with the pods of the cluster, changes a setting of the sidecar, which
// makes all of them outdated, and adds a proxy that does not connect.
func TestInstallationDataPlane(t *testing.T) {
	installation(t)
	sharedBookinfo(t)
	dataPlaneSettled(t)
	before, err := dataPlane(within(t, 30*time.Second))
	must(t, err)
	if before["outdated"] != 0 {
		t.Errorf("status.dataPlane is %v, want nothing outdated", before)
	}
	namespace(t, "disconnected", nil)
	edit(t, `{"spec":{"injection":{"proxy":{"logLevel":"error"}}}}`)
	apply(t, "disconnected", disconnected)
	countsBoth(t, before)
}

// countsBoth waits for both numbers at once: the operator counts once a minute.
func countsBoth(t *testing.T, before map[string]int64) {
	t.Helper()
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

// disconnected is a pod with a container named like a sidecar, which never connects to pilot.
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

// dataPlaneSettled waits until status.dataPlane, which is written once a minute, agrees with the pods of the cluster.
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
