package featuretest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/mesh-operator/mesh-operator/xds/resource"
)

func externalHost(namespace, resolution string) string {
	return fmt.Sprintf(`apiVersion: networking.istio.io/v1alpha3
kind: ServiceEntry
metadata: {namespace: %s, name: httpbin-ext}
spec: {hosts: [httpbin.org], ports: [{number: 80, name: http, protocol: HTTP}], %s}`, namespace, resolution)
}

// TestServiceEntryIsForItsNamespace adds, changes and removes a ServiceEntry: the proxies of its namespace get its cluster, those of others
// nothing. One of the root namespace is for all.
func TestServiceEntryIsForItsNamespace(t *testing.T) {
	const cluster = "outbound|80||httpbin.org"
	p := startPilot(t, workload("shop", "web", "10.244.0.1"), workload("bank", "web", "10.244.0.2"))
	shop, bank := p.connect(sidecar("shop", "web", "10.244.0.1")), p.connect(sidecar("bank", "web", "10.244.0.2"))
	for _, c := range []*client{shop, bank} {
		c.subscribe(resource.Cluster)
		c.accept(resource.Cluster)
	}
	p.apply(externalHost("shop", "resolution: DNS"))
	if got := versions(shop.accept(resource.Cluster)); len(got) != 1 || got[cluster] == "" {
		t.Errorf("a ServiceEntry sends %v, want %s", got, cluster)
	}
	p.apply(externalHost("shop", "resolution: NONE"))
	if got := versions(shop.accept(resource.Cluster)); len(got) != 1 || got[cluster] == "" {
		t.Errorf("another resolution sends %v, want %s", got, cluster)
	}
	p.apply(externalHost("istio-system", "resolution: STATIC, endpoints: [{address: 192.0.2.1}]"))
	if got := versions(bank.accept(resource.Cluster)); len(got) != 1 || got[cluster] == "" {
		t.Errorf("the first that the other namespace gets is %v, want the one of the root namespace", got)
	}
	p.remove("ServiceEntry/shop/httpbin-ext")
	if got := versions(shop.accept(resource.Cluster)); len(got) != 1 || got[cluster] == "" {
		t.Errorf("without its own the namespace gets %v, want the one of the root namespace", got)
	}
	p.remove("ServiceEntry/istio-system/httpbin-ext")
	for _, c := range []*client{shop, bank} {
		if r := c.accept(resource.Cluster); !slices.Equal(r.GetRemovedResources(), []string{cluster}) {
			t.Errorf("without a ServiceEntry %s, want the cluster removed", brief(r))
		}
	}
}
