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
func generations(t *testing.T) map[string]int64 {
	t.Helper()
	list, err := mesh.Client.AppsV1().Deployments("istio-system").List(within(t, 30*time.Second), metav1.ListOptions{})
	must(t, err)
	out := map[string]int64{}
	for _, d := range list.Items {
		out[d.Name] = d.Generation
	}
	return out
}

// TestInstallationGatewayPort adds a port to a gateway: it serves there, and no Deployment is rolled out again.
func TestInstallationGatewayPort(t *testing.T) {
	installation(t)
	sharedBookinfo(t)
	before := generations(t)
	edit(t, `{"spec":{"gateways":[{"name":"istio-ingressgateway","service":{"ports":[{"name":"http-alt","port":8888,"targetPort":8080,"nodePort":30002}]}}]}}`)
	must(t, lab.Until(within(t, 2*time.Minute), "the page opens on the new port", func(ctx context.Context) error {
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
	if after := generations(t); !maps.Equal(before, after) {
		t.Errorf("Deployments changed: %v became %v", before, after)
	}
}
