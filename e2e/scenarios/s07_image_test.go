package scenarios

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
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
