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
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

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
	otherWays(t)
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

// otherWays deploys Bookinfo twice where no label of the namespace asks for sidecars; both start at once.
func otherWays(t *testing.T) {
	ways := []struct {
		name, namespace string
		manifest        func(t *testing.T) []*unstructured.Unstructured
	}{
		{"by annotation alone", "annotated", annotatedBookinfo},
		{"by kube-inject", "manual", kubeInjectedBookinfo},
	}
	for _, way := range ways {
		namespace(t, way.namespace, nil)
		must(t, mesh.ApplyObjects(within(t, time.Minute), way.namespace, way.manifest(t)))
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			must(t, mesh.Available(within(t, 3*time.Minute), way.namespace))
			everyPodHasSidecar(t, way.namespace, 6)
			opensInside(t, "http://productpage."+way.namespace+":9080/productpage")
		})
	}
}

// opensInside opens a product page from another pod of the mesh, until it shows that all four services had a part in it.
func opensInside(t *testing.T, url string) {
	t.Helper()
	must(t, lab.Until(within(t, time.Minute), url+" opens", func(ctx context.Context) error {
		body, err := mesh.Exec(ctx, bookinfo, "app=sleep", "sleep", "curl", "-s", "-f", "-m", "10", url)
		for _, part := range []string{"William Shakespeare", "reviews-v", `class="stars `} {
			if err == nil && !strings.Contains(body, part) {
				err = fmt.Errorf("the page lacks %q: %.2000s", part, body)
			}
		}
		return err
	}))
}

func sample(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	text, err := os.ReadFile("../../samples/bookinfo/bookinfo.yaml")
	must(t, err)
	objects, err := lab.Objects(string(text))
	must(t, err)
	return objects
}

// annotatedBookinfo is seed-era opt-in: an annotation on the pod templates.
func annotatedBookinfo(t *testing.T) []*unstructured.Unstructured {
	objects := sample(t)
	for _, u := range objects {
		if u.GetKind() == "Deployment" {
			must(t, unstructured.SetNestedField(u.Object, "true", "spec", "template", "metadata", "annotations", "sidecar.istio.io/inject"))
		}
	}
	return objects
}

// kubeInjectedBookinfo feeds Deployments as the articles print them, of an API that no cluster serves any more and without a
// selector, to meshctl.
func kubeInjectedBookinfo(t *testing.T) []*unstructured.Unstructured {
	var old strings.Builder
	for _, u := range sample(t) {
		if u.GetKind() == "Deployment" {
			u.SetAPIVersion("extensions/v1beta1")
			unstructured.RemoveNestedField(u.Object, "spec", "selector")
		}
		text, err := yaml.Marshal(u.Object)
		must(t, err)
		old.WriteString("---\n" + string(text))
	}
	path := filepath.Join(t.TempDir(), "bookinfo.yaml")
	must(t, os.WriteFile(path, []byte(old.String()), 0o600))
	out, err := lab.Run(within(t, 3*time.Minute), mesh.Root, "go", "run", "./cmd/meshctl", "kube-inject", "-f", path)
	must(t, err)
	objects, err := lab.Objects(out)
	must(t, err)
	return objects
}
