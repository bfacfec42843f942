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
	"k8s.io/apimachinery/pkg/types"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
	"github.com/mesh-operator/mesh-operator/internal/version"
)

// TestImageThatCannotBePulled names an image that the cluster's own registry does not have: within a minute the status tells
// component, image and the kubelet's words.
func TestImageThatCannotBePulled(t *testing.T) {
	const image = "localhost:5000/nobody/mesh-operator:none"
	installations := mesh.Dynamic.Resource(lab.InstallationResource).Namespace("istio-operator")
	patch := func(ctx context.Context, text string) error {
		_, err := installations.Patch(ctx, "istio-installation", types.MergePatchType, []byte(text), metav1.PatchOptions{})
		return err
	}
	must(t, patch(within(t, 30*time.Second), `{"spec":{"components":{"galley":{"image":"`+image+`"}}}}`))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if err := patch(ctx, `{"spec":{"components":null}}`); err != nil {
			t.Error(err)
		}
		if err := mesh.InstallationReady(ctx); err != nil {
			t.Error(err)
		}
	})
	must(t, lab.Until(within(t, time.Minute), "the status tells of the image", func(ctx context.Context) error {
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

// TestImagesFromElsewhere names a mirror: the images change everywhere and nothing else does; without it they are as before.
func TestImagesFromElsewhere(t *testing.T) {
	const prefix = "registry.example.com/mesh/"
	in, err := mesh.Installation(within(t, 30*time.Second))
	must(t, err)
	was, _, _ := unstructured.NestedString(in.Object, "spec", "istio", "prefix")
	dir := t.TempDir()
	for _, image := range []string{"mesh-operator", "proxyv2"} {
		must(t, mesh.LoadAs(within(t, time.Minute), image, prefix+image+":"+version.Version, dir))
	}
	before, objects := programs(t), snapshot(t)
	back := `{"spec":{"istio":{"prefix":"` + was + `"}}}`
	change(t, `{"spec":{"istio":{"prefix":"`+prefix+`"}}}`, back)

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
	pod, err := tryPod(within(t, 30*time.Second), wishes{namespace: bookinfo})
	must(t, err)
	if sidecar := sidecarOf(pod); sidecar == nil || !strings.HasPrefix(sidecar.Image, prefix) {
		t.Errorf("the sidecar of new pods is %+v", sidecar)
	}
	if err := lab.Changes(objects, snapshot(t), nothing); err != nil {
		t.Error(err)
	}

	must(t, edit(within(t, 3*time.Minute), back))
	if diff := cmp.Diff(before, programs(t)); diff != "" {
		t.Errorf("it did not change back (-before +after):\n%s", diff)
	}
}

// program is what a Deployment runs: its images, and all else of its spec. The sum of what new sidecars are made of, which the
// injector's pods are marked with, stands for an image too.
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
