package scenarios

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
	"github.com/mesh-operator/mesh-operator/internal/version"
)

// TestInstallationImageNotFound names an image that the cluster's registry does not have: the status names the component, the
// image and the kubelet's message.
func TestInstallationImageNotFound(t *testing.T) {
	installation(t)
	const image = "localhost:5000/nobody/mesh-operator:none"
	patchInstallation(t, `{"spec":{"components":{"galley":{"image":"`+image+`"}}}}`)
	must(t, lab.Until(within(t, 2*time.Minute), "the status names the image", func(ctx context.Context) error {
		in, err := mesh.Installation(ctx)
		if err != nil {
			return err
		}
		message := component(in, "galley")
		for _, word := range []string{image, "not found"} {
			if !strings.Contains(message, word) {
				return fmt.Errorf("no %q in %q", word, message)
			}
		}
		return nil
	}))
}

// TestInstallationMirror sets another prefix for images: they change everywhere and nothing else does.
func TestInstallationMirror(t *testing.T) {
	installation(t)
	sharedBookinfo(t)
	const prefix = "registry.example.com/mesh/"
	dir := t.TempDir()
	for _, image := range []string{"mesh-operator", "proxyv2"} {
		must(t, mesh.LoadAs(within(t, time.Minute), image, prefix+image+":"+version.Version, dir))
	}
	before, objects := programs(t), snapshot(t)
	edit(t, `{"spec":{"istio":{"prefix":"`+prefix+`"}}}`)

	after := programs(t)
	if diff := cmp.Diff(before, after, cmpopts.IgnoreFields(program{}, "Images")); diff != "" {
		t.Errorf("more than images changed (-before +after):\n%s", diff)
	}
	for name, p := range after {
		for _, image := range p.Images {
			if !strings.HasPrefix(image, prefix) {
				t.Errorf("%s still runs %s", name, image)
			}
		}
	}
	pod, err := tryPod(within(t, 30*time.Second), podCase{namespace: bookinfo})
	must(t, err)
	if sidecar := sidecarOf(pod); sidecar == nil || !strings.HasPrefix(sidecar.Image, prefix) {
		t.Errorf("the sidecar of new pods is %+v", sidecar)
	}
	if err := lab.Changes(objects, snapshot(t), noObject); err != nil {
		t.Error(err)
	}

	restore(t)
	if diff := cmp.Diff(before, programs(t)); diff != "" {
		t.Errorf("it did not change back (-before +after):\n%s", diff)
	}
}

// program is a Deployment's images, and the rest of its spec without the annotation that holds the digest of the injection
// template, which depends on an image too.
type program struct {
	Images []string
	Spec   appsv1.DeploymentSpec
}

// programs are the Deployments of the mesh, by name.
func programs(t *testing.T) map[string]program {
	t.Helper()
	list, err := mesh.Client.AppsV1().Deployments("istio-system").List(within(t, 30*time.Second), metav1.ListOptions{})
	must(t, err)
	out := map[string]program{}
	for _, d := range list.Items {
		p := program{Spec: d.Spec}
		delete(d.Spec.Template.Annotations, "istio.openshift.com/injection")
		for _, containers := range [][]corev1.Container{d.Spec.Template.Spec.InitContainers, d.Spec.Template.Spec.Containers} {
			for i := range containers {
				p.Images = append(p.Images, containers[i].Image)
				containers[i].Image = ""
			}
		}
		out[d.Name] = p
	}
	return out
}

// component returns the message of one component in the status.
func component(in *unstructured.Unstructured, name string) string {
	components, _, _ := unstructured.NestedSlice(in.Object, "status", "components")
	for _, c := range components {
		if m, ok := c.(map[string]any); ok && m["name"] == name {
			return fmt.Sprint(m["message"])
		}
	}
	return ""
}
