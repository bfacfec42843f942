package featuretest

import (
	"strings"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
)

const meshPolicy = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {namespace: istio-system, name: default}
spec: {mtls: {mode: STRICT}}`

// TestStrictMeshStaysStrictWithoutPolicies: the definition of PeerAuthentication is deleted, and with it all objects, the
// mesh's own and the exemption of a namespace. Proxies, connected before or after it, accept no plaintext.
func TestStrictMeshStaysStrictWithoutPolicies(t *testing.T) {
	p := startPilot(t)
	p.mode = mesh.Strict
	const exemption = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {namespace: default, name: legacy}
spec: {mtls: {mode: PERMISSIVE}}`
	p.apply(workload("default", "web", "10.1.0.1"), meshPolicy, exemption)
	c := p.connect(sidecar("default", "web", "10.1.0.1"))
	c.subscribe(resource.Listener)
	if plain := admitsPlaintext(t, c); len(plain) == 0 {
		t.Fatal("the exempted workload is closed: the test is blind")
	}
	p.remove("PeerAuthentication/istio-system/default", "PeerAuthentication/default/legacy")
	if plain := admitsPlaintext(t, c); len(plain) > 0 {
		t.Errorf("without any policy these filter chains take plaintext: %v", plain)
	}
	fresh := p.connect(sidecar("default", "web", "10.1.0.1"))
	fresh.subscribe(resource.Listener)
	if plain := admitsPlaintext(t, fresh); len(plain) > 0 {
		t.Errorf("a new proxy gets filter chains that take plaintext: %v", plain)
	}
}

// admitsPlaintext lists the chains of the next virtualInbound that take a connection without mutual TLS from outside.
func admitsPlaintext(t *testing.T, c *client) (names []string) {
	t.Helper()
	found := false
	for _, r := range c.accept(resource.Listener).GetResources() {
		if r.GetName() != "virtualInbound" {
			continue
		}
		found = true
		l := &listenerv3.Listener{}
		if err := r.GetResource().UnmarshalTo(l); err != nil {
			t.Fatal(err)
		}
		for _, chain := range l.FilterChains {
			if chain.TransportSocket == nil && !strings.HasSuffix(chain.Name, "-blackhole") {
				names = append(names, chain.Name)
			}
		}
	}
	if !found {
		t.Fatal("no virtualInbound in the response")
	}
	return names
}
