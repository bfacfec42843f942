package scenarios

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// bookinfo is the namespace that the scenarios of rules share; its pods are injected by the namespace's label.
const bookinfo = "bookinfo"

// TestBookinfo deploys the sample application in the three ways that users know and opens its page.
func TestBookinfo(t *testing.T) {
	t.Run("by namespace label", func(t *testing.T) {
		must(t, mesh.EnsureNamespace(within(t, 30*time.Second), bookinfo, injected))
		for _, file := range []string{"bookinfo.yaml", "bookinfo-gateway.yaml", "destination-rule-all-mtls.yaml"} {
			must(t, mesh.ApplyFile(within(t, time.Minute), bookinfo, "samples/bookinfo/"+file))
		}
		must(t, mesh.ApplyFile(within(t, time.Minute), bookinfo, "samples/sleep/sleep.yaml"))
		must(t, mesh.Available(within(t, 5*time.Minute), bookinfo))
		everyPodHasSidecar(t, bookinfo, 7)
	})
	t.Run("page", func(t *testing.T) {
		reply := eventually(t, "the page opens", 200, func(ctx context.Context) (lab.Reply, error) { return page(ctx, t, "/productpage", nil) })
		if lab.ReviewsVersion(reply.Body) == "none" {
			t.Errorf("the page names no version of reviews:\n%.2000s", reply.Body)
		}
	})
	t.Run("unknown path is 404", func(t *testing.T) {
		eventually(t, "an unknown path is 404", 404, func(ctx context.Context) (lab.Reply, error) { return page(ctx, t, "/no-such-path", nil) })
	})
	t.Run("by annotation alone", byAnnotation)
	t.Run("by kube-inject", byKubeInject)
}

func everyPodHasSidecar(t *testing.T, namespace string, atLeast int) {
	t.Helper()
	pods, err := mesh.Client.CoreV1().Pods(namespace).List(within(t, 30*time.Second), metav1.ListOptions{})
	must(t, err)
	count := 0
	for i := range pods.Items {
		p := &pods.Items[i]
		if p.DeletionTimestamp != nil {
			continue
		}
		count++
		if ready, total := lab.Containers(p); ready != 2 || total != 2 {
			t.Errorf("pod %s has %d/%d containers ready, not 2/2", p.Name, ready, total)
		}
	}
	if count < atLeast {
		t.Errorf("%d pods in %s, not %d", count, namespace, atLeast)
	}
}

// byAnnotation is seed-era opt-in: no label on the namespace, an annotation on the pod template.
func byAnnotation(t *testing.T) {
	const ns = "annotated"
	namespace(t, ns, nil)
	text, err := os.ReadFile("../../samples/sleep/sleep.yaml")
	must(t, err)
	objects, err := lab.Objects(string(text))
	must(t, err)
	for _, u := range objects {
		if u.GetKind() == "Deployment" {
			must(t, setAnnotation(u.Object, "sidecar.istio.io/inject", "true"))
		}
	}
	must(t, mesh.ApplyObjects(within(t, time.Minute), ns, objects))
	must(t, mesh.Available(within(t, 2*time.Minute), ns))
	everyPodHasSidecar(t, ns, 1)
}

func setAnnotation(object map[string]any, key, value string) error {
	metadata := object
	for _, field := range []string{"spec", "template", "metadata"} {
		next, ok := metadata[field].(map[string]any)
		if !ok {
			return fmt.Errorf("find %s", field)
		}
		metadata = next
	}
	annotations, _ := metadata["annotations"].(map[string]any)
	if annotations == nil {
		annotations = map[string]any{}
		metadata["annotations"] = annotations
	}
	annotations[key] = value
	return nil
}

// byKubeInject feeds an old Deployment, as the articles print it, to meshctl.
func byKubeInject(t *testing.T) {
	const ns = "manual"
	namespace(t, ns, nil)
	old := filepath.Join(t.TempDir(), "sleep.yaml")
	text, err := os.ReadFile("../../samples/sleep/sleep.yaml")
	must(t, err)
	dated := strings.Replace(string(text), "apiVersion: apps/v1", "apiVersion: extensions/v1beta1", 1)
	must(t, os.WriteFile(old, []byte(dated), 0o600))
	out, err := lab.Run(within(t, 3*time.Minute), mesh.Root, "go", "run", "./cmd/meshctl", "kube-inject", "-f", old)
	must(t, err)
	if strings.Contains(out, "extensions/v1beta1") {
		t.Error("the Deployment is still extensions/v1beta1")
	}
	must(t, mesh.Apply(within(t, time.Minute), ns, out))
	must(t, mesh.Available(within(t, 2*time.Minute), ns))
	everyPodHasSidecar(t, ns, 1)
}
