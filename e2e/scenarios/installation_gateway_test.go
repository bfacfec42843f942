package scenarios

import (
	"context"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// TestInstallationGateway adds a gateway, serves a host through it that no other gateway serves, and removes it.
func TestInstallationGateway(t *testing.T) {
	installation(t)
	sharedBookinfo(t)
	const name, host = "my-gateway", "partner.example.com"
	edit(t, `{"spec":{"gateways":[{"name":"`+name+`","type":"Ingress","labels":{"edge":"partner"},"podLabels":{"team":"sales"},
		"service":{"ports":[{"name":"http-partner","port":8088}]}}]}}`)
	apply(t, bookinfo, `
apiVersion: networking.istio.io/v1alpha3
kind: Gateway
metadata: {name: partner}
spec:
  selector: {edge: partner}
  servers:
  - port: {number: 8088, name: http-partner, protocol: HTTP}
    hosts: ["*.example.com"]
---
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: partner}
spec:
  hosts: [partner.example.com]
  gateways: [partner]
  http:
  - route: [{destination: {host: details, port: {number: 9080}}}]
`)
	get := func(host string) func(context.Context) (lab.Reply, error) {
		return func(ctx context.Context) (lab.Reply, error) {
			url, err := mesh.URL(ctx, "istio-system/"+name+"/http-partner")
			if err != nil {
				return lab.Reply{}, err
			}
			return lab.Get(ctx, lab.Request{URL: url + "/details/0", Host: host})
		}
	}
	eventually(t, "the added gateway serves its host", 200, get(host))
	for _, unknown := range []string{"other.example.com", "partner.example.org", "example.com", "localhost"} {
		reply, err := get(unknown)(within(t, 30*time.Second))
		if err != nil || reply.Status != 404 {
			t.Errorf("host %s, which no rule names: status %d, %v", unknown, reply.Status, err)
		}
	}
	eventually(t, "the ingress gateway does not", 404, func(ctx context.Context) (lab.Reply, error) {
		return throughIngress(ctx, host, "/details/0", nil)
	})
	if _, err := mesh.RunningPod(within(t, 30*time.Second), "istio-system", "team=sales,edge=partner,istio="+name); err != nil {
		t.Error(err)
	}

	restore(t)
	must(t, lab.Gone(within(t, time.Minute), "its Deployment", func(ctx context.Context) error {
		_, err := mesh.Client.AppsV1().Deployments("istio-system").Get(ctx, name, metav1.GetOptions{})
		return err
	}))
	must(t, lab.Gone(within(t, time.Minute), "its Service", func(ctx context.Context) error {
		_, err := mesh.Client.CoreV1().Services("istio-system").Get(ctx, name, metav1.GetOptions{})
		return err
	}))
	must(t, lab.Gone(within(t, time.Minute), "its account", func(ctx context.Context) error {
		_, err := mesh.Client.CoreV1().ServiceAccounts("istio-system").Get(ctx, name+"-service-account", metav1.GetOptions{})
		return err
	}))
}
