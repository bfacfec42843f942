package scenarios

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// generations returns the generation of every Deployment of the mesh.
func generations(ctx context.Context, t *testing.T) map[string]int64 {
	t.Helper()
	list, err := mesh.Client.AppsV1().Deployments("istio-system").List(ctx, metav1.ListOptions{})
	must(t, err)
	out := map[string]int64{}
	for _, d := range list.Items {
		out[d.Name] = d.Generation
	}
	return out
}

// TestChange edits the resource and sees just that change: a gateway gets a port, no Deployment rolls.
func TestChange(t *testing.T) {
	before := generations(within(t, 30*time.Second), t)
	change(t, `{"spec":{"gateways":[{"name":"istio-ingressgateway","service":{"ports":[{"name":"http-alt","port":8888,"targetPort":8080,"nodePort":30002}]}}]}}`,
		`{"spec":{"gateways":null}}`)
	must(t, lab.Until(within(t, time.Minute), "the page opens on the new port", func(ctx context.Context) error {
		url, err := mesh.URL(ctx, "istio-system/istio-ingressgateway/http-alt")
		if err != nil {
			return err
		}
		reply, err := lab.Get(ctx, lab.Request{URL: url + "/productpage"})
		if err == nil && reply.Status != 200 {
			err = fmt.Errorf("status %d", reply.Status)
		}
		return err
	}))
	if after := generations(within(t, 30*time.Second), t); !maps.Equal(before, after) {
		t.Errorf("Deployments changed: %v became %v", before, after)
	}
}
