package featuretest

import (
	"fmt"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/mesh-operator/mesh-operator/xds/resource"
)

const bankCluster = "outbound|9080||bank.bank.svc.cluster.local"

// bankRule is a rule in a namespace for TLS to the server bank/bank.
func bankRule(namespace, tls string) string {
	return fmt.Sprintf(`apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {namespace: %s, name: bank}
spec: {host: bank.bank.svc.cluster.local, trafficPolicy: {tls: %s}}`, namespace, tls)
}

// bankRoute leads a gateway to it.
const bankRoute = `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {namespace: bank, name: bank}
spec: {selector: {istio: ingress}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {namespace: bank, name: bank}
spec: {hosts: ["*"], gateways: [bank], http: [{route: [{destination: {host: bank}}]}]}`

// secretsOf lists the secrets that a cluster of a response asks for, and who has them.
func secretsOf(t *testing.T, r *discovery.DeltaDiscoveryResponse, cluster string) []string {
	t.Helper()
	for _, x := range r.GetResources() {
		if x.Name != cluster {
			continue
		}
		c, context := &clusterv3.Cluster{}, &tlsv3.UpstreamTlsContext{}
		if err := x.Resource.UnmarshalTo(c); err != nil {
			t.Fatal(err)
		}
		if c.TransportSocket == nil {
			return nil
		}
		if err := c.TransportSocket.GetTypedConfig().UnmarshalTo(context); err != nil {
			t.Fatal(err)
		}
		var names []string
		validation := context.CommonTlsContext.GetCombinedValidationContext().GetValidationContextSdsSecretConfig()
		for _, s := range append(context.CommonTlsContext.TlsCertificateSdsSecretConfigs, validation) {
			from := "agent"
			if s.GetSdsConfig().GetAds() != nil {
				from = "pilot"
			}
			names = append(names, from+" "+s.GetName())
		}
		return names
	}
	t.Fatalf("no cluster %s in %s", cluster, brief(r))
	return nil
}

// TestClientTLSModes changes one rule from mode to mode: each sends one cluster again, which asks the agent
// for what the mode needs.
func TestClientTLSModes(t *testing.T) {
	p := startPilot(t, workload("shop", "web", "10.244.0.1"), workload("bank", "bank", "10.244.0.2"))
	c := p.connect(sidecar("shop", "web", "10.244.0.1"))
	c.subscribe(resource.Cluster)
	c.accept(resource.Cluster)
	for _, step := range []struct{ tls, want string }{
		{"{mode: DISABLE}", ""},
		{"{mode: ISTIO_MUTUAL}", "agent default,agent ROOTCA"},
		{"{mode: SIMPLE}", "agent file-root:system"},
		{"{mode: SIMPLE, caCertificates: /etc/certs/ca.crt}", "agent file-root:/etc/certs/ca.crt"},
		{"{mode: MUTUAL, clientCertificate: /etc/certs/a, privateKey: /etc/certs/b}", "agent file-cert:/etc/certs/a~/etc/certs/b,agent file-root:system"},
		{"{mode: MUTUAL, credentialName: bank-client}", ""},
	} {
		p.apply(bankRule("shop", step.tls))
		r := c.accept(resource.Cluster)
		if len(r.GetResources()) != 1 {
			t.Errorf("%s sends %s", step.tls, brief(r))
		}
		if got := strings.Join(secretsOf(t, r, bankCluster), ","); got != step.want {
			t.Errorf("%s asks for %s, want %s", step.tls, got, step.want)
		}
	}
}

// TestRuleCredentialIsForGatewaysOfItsNamespace: two gateways with one route, of which one namespace has the Secret.
func TestRuleCredentialIsForGatewaysOfItsNamespace(t *testing.T) {
	const pair, authorities = "kubernetes://bank-client", "kubernetes-ca://bank-client"
	p := startPilot(t, workload("bank", "bank", "10.244.0.2"), bankRoute,
		router("istio-system", "ingress", "10.244.0.3"), router("other", "ingress", "10.244.0.4"),
		bankRule("bank", "{mode: MUTUAL, credentialName: bank-client}"))
	p.apply(p.ca.secret(t, "istio-system", "bank-client"), p.ca.authorities("istio-system", "bank-client-cacert"))
	for _, caller := range []struct {
		node, identity string
		may            bool
	}{
		{routerNode("istio-system", "ingress", "10.244.0.3"), identity("istio-system", "ingress"), true},
		{routerNode("other", "ingress", "10.244.0.4"), identity("other", "ingress"), false},
		{sidecar("bank", "bank", "10.244.0.2"), identity("bank", "bank"), false},
	} {
		c := p.connectAs(caller.node, caller.identity)
		c.subscribe(resource.Cluster)
		if got := strings.Join(secretsOf(t, c.accept(resource.Cluster), bankCluster), ","); caller.may && got != "pilot "+pair+",pilot "+authorities {
			t.Errorf("%s asks for %s", caller.node, got)
		}
		c.subscribe(resource.Secret, pair, authorities)
		if got := len(versions(c.accept(resource.Secret))); caller.may && got != 2 || !caller.may && got != 0 {
			t.Errorf("%s got %d secrets", caller.node, got)
		}
		c.close()
	}
}

// TestRenewedRuleCredentialIsSent, and nothing with it.
func TestRenewedRuleCredentialIsSent(t *testing.T) {
	const pair = "kubernetes://bank-client"
	p := startPilot(t, workload("bank", "bank", "10.244.0.2"), bankRoute, router("istio-system", "ingress", "10.244.0.3"),
		bankRule("bank", "{mode: MUTUAL, credentialName: bank-client}"))
	c := p.connect(routerNode("istio-system", "ingress", "10.244.0.3"))
	c.subscribe(resource.Cluster)
	c.accept(resource.Cluster)
	c.subscribe(resource.Secret, pair)
	if got := brief(c.accept(resource.Secret)); got != "SDS -"+pair {
		t.Errorf("a secret that does not exist is %s", got)
	}
	seen := map[string]bool{}
	for range 2 {
		p.apply(p.ca.secret(t, "istio-system", "bank-client"))
		seen[versions(c.accept(resource.Secret))[pair]] = true
	}
	if len(seen) != 2 || seen[""] {
		t.Errorf("versions are %v, want two", seen)
	}
	if strings.Contains(p.log.String(), "PRIVATE KEY") {
		t.Error("a private key is in the log")
	}
}
