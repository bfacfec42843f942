package featuretest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mesh-operator/mesh-operator/xds/resource"
)

func gatewayFor(namespace, selector, credential string) string {
	return fmt.Sprintf(`apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {namespace: %s, name: %s}
spec:
  selector: {istio: %s}
  servers:
  - {port: {number: 443, name: https, protocol: HTTPS}, hosts: ["*"], tls: {mode: SIMPLE, credentialName: %s}}`,
		namespace, credential, selector, credential)
}

func routerNode(namespace, name, ip string) string {
	return strings.Replace(sidecar(namespace, name, ip), "sidecar~", "router~", 1)
}

// TestSecretIsForGatewaysOfItsNamespace lets every identity ask for every name in every spelling, twice, so that
// caches are warm the second time.
func TestSecretIsForGatewaysOfItsNamespace(t *testing.T) {
	p := startPilot(t, workload("istio-system", "job", "10.244.0.9"),
		router("istio-system", "ingress", "10.244.0.1"), router("bank", "ingress", "10.244.0.2"))
	p.apply(p.ca.secret(t, "istio-system", "shop-credential"), p.ca.secret(t, "bank", "bank-credential"),
		gatewayFor("istio-system", "ingress", "shop-credential"), gatewayFor("bank", "ingress", "bank-credential"))
	callers := []struct {
		node, identity, may string
	}{
		{routerNode("istio-system", "ingress", "10.244.0.1"), identity("istio-system", "ingress"), "kubernetes://shop-credential"},
		{routerNode("bank", "ingress", "10.244.0.2"), identity("bank", "ingress"), "kubernetes://bank-credential"},
		{sidecar("istio-system", "job", "10.244.0.9"), identity("istio-system", "job"), ""},
	}
	names := []string{
		"kubernetes://shop-credential", "kubernetes://bank-credential", "kubernetes://bank/bank-credential", "bank-credential",
		"kubernetes://istio-system/shop-credential", "shop-credential", "kubernetes://../bank/bank-credential",
		"kubernetes-gateway://bank/bank-credential", "kubernetes://shop-credential-cacert",
		"kubernetes-ca://shop-credential", "kubernetes-ca://bank-credential", "*", "", "default", "ROOTCA",
	}
	for range 2 {
		for _, caller := range callers {
			c := p.connectAs(caller.node, caller.identity)
			c.subscribe(resource.Secret, names...)
			r := c.accept(resource.Secret)
			for name := range versions(r) {
				if name != caller.may {
					t.Errorf("%s got secret %q, may have %q", caller.node, name, caller.may)
				}
			}
			if want := len(names) - len(versions(r)); len(r.GetRemovedResources()) != want {
				t.Errorf("%s was told that %d names do not exist, want %d", caller.node, len(r.GetRemovedResources()), want)
			}
			if caller.may != "" && versions(r)[caller.may] == "" {
				t.Errorf("%s did not get %q", caller.node, caller.may)
			}
			c.close()
		}
	}
}

func TestChangedSecretIsSent(t *testing.T) {
	const name = "kubernetes://shop-credential"
	p := startPilot(t, router("istio-system", "ingress", "10.244.0.1"), gatewayFor("istio-system", "ingress", "shop-credential"))
	c := p.connect(routerNode("istio-system", "ingress", "10.244.0.1"))
	c.subscribe(resource.Secret, name)
	if got := brief(c.accept(resource.Secret)); got != "SDS -"+name {
		t.Errorf("a secret that does not exist is %s", got)
	}
	p.apply(p.ca.secret(t, "istio-system", "shop-credential"))
	first := versions(c.accept(resource.Secret))[name]
	p.apply(p.ca.secret(t, "istio-system", "shop-credential"))
	if second := versions(c.accept(resource.Secret))[name]; first == "" || second == "" || first == second {
		t.Errorf("versions are %q and %q, want two different ones", first, second)
	}
	if strings.Contains(p.log.String(), "PRIVATE KEY") {
		t.Error("a private key is in the log")
	}
}
