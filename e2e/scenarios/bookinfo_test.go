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

// TestBookinfo opens the product page of a Bookinfo that the namespace's label injects: through the ingress gateway, and at
// each endpoint of the Installation's status.
func TestBookinfo(t *testing.T) {
	readyMesh(t)
	s := sharedBookinfo(t)
	everyPodHasSidecar(t, bookinfo, 7)
	reply := eventually(t, "the page opens", 200, func(ctx context.Context) (lab.Reply, error) { return s.page(ctx, "/productpage", nil) })
	if lab.ReviewsVersion(reply.Body) == "none" {
		t.Errorf("the page names no version of reviews:\n%.2000s", reply.Body)
	}
	eventually(t, "an unknown path is 404", 404, func(ctx context.Context) (lab.Reply, error) { return s.page(ctx, "/no-such-path", nil) })
	t.Run("status.endpoints", endpointsServeThePage)
}

// endpointsServeThePage opens the page at each endpoint of the status from a pod outside of the mesh, as the guide says.
func endpointsServeThePage(t *testing.T) {
	plaintextClient(t)
	text, err := mesh.Kubectl(within(t, 30*time.Second), "get", "-n", "istio-operator", "installation", "istio-installation",
		"-o", `jsonpath={.status.endpoints[?(@.name=="istio-ingressgateway")].url}`)
	must(t, err)
	opened := 0
	for _, url := range strings.Fields(text) {
		if strings.HasPrefix(url, "http://") {
			eventuallyStatus(t, "the page opens at "+url, 200, outside, url+"/productpage")
			opened++
		}
	}
	if opened == 0 || !strings.Contains(text, "https://") {
		t.Errorf("status.endpoints has %q, want http and https", text)
	}
}

// TestBookinfoInjectedByAnnotation deploys Bookinfo where only the pods' annotation requests sidecars.
func TestBookinfoInjectedByAnnotation(t *testing.T) {
	readyMesh(t)
	namespace(t, "annotated", nil)
	runsInMesh(t, "annotated", annotatedBookinfo(t))
}

// TestBookinfoKubeInject deploys the output of meshctl kube-inject.
func TestBookinfoKubeInject(t *testing.T) {
	readyMesh(t)
	namespace(t, "file-injected", nil)
	runsInMesh(t, "file-injected", kubeInjectedBookinfo(t))
}

// runsInMesh deploys a Bookinfo and opens its page from another pod of the mesh, until all four services had a part in it.
func runsInMesh(t *testing.T, namespace string, objects []*unstructured.Unstructured) {
	t.Helper()
	sharedBookinfo(t) // for its client
	must(t, mesh.ApplyObjects(within(t, time.Minute), namespace, objects))
	must(t, mesh.Available(within(t, 5*time.Minute), namespace))
	everyPodHasSidecar(t, namespace, 6)
	url := "http://productpage." + namespace + ":9080/productpage"
	must(t, lab.Until(within(t, 2*time.Minute), url+" opens", func(ctx context.Context) error {
		body, err := curl(ctx, bookinfo, "-f", url)
		for _, part := range []string{"William Shakespeare", "reviews-v", `class="stars `} {
			if err == nil && !strings.Contains(body, part) {
				err = fmt.Errorf("the page lacks %q: %.2000s", part, body)
			}
		}
		return err
	}))
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

func bookinfoObjects(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	objects, err := lab.Objects(read(t, "samples/bookinfo/bookinfo.yaml"))
	must(t, err)
	return objects
}

// annotatedBookinfo is Bookinfo with the annotation that requests injection on its pod templates.
func annotatedBookinfo(t *testing.T) []*unstructured.Unstructured {
	objects := bookinfoObjects(t)
	for _, u := range objects {
		if u.GetKind() == "Deployment" {
			must(t, unstructured.SetNestedField(u.Object, "true", "spec", "template", "metadata", "annotations", "sidecar.istio.io/inject"))
		}
	}
	return objects
}

// kubeInjectedBookinfo is what meshctl kube-inject makes of Bookinfo with Deployments as the articles print them: without a
// selector, and of an API version that no cluster serves any more.
func kubeInjectedBookinfo(t *testing.T) []*unstructured.Unstructured {
	var old strings.Builder
	for _, u := range bookinfoObjects(t) {
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
	// Flags of the images' programs, which share most of its packages in the build cache.
	out, err := lab.Run(within(t, 5*time.Minute), mesh.Root, "env", "CGO_ENABLED=0", "go", "run", "-trimpath", "-buildvcs=false", "./cmd/meshctl", "kube-inject", "-f", path)
	must(t, err)
	objects, err := lab.Objects(out)
	must(t, err)
	return objects
}
