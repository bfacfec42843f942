package envoy

import (
	"fmt"
	"strings"
	"testing"

	networking "istio.io/api/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/internal/golden"
	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/scope"
)

// TestSecretsStayInTheirNamespace lets the router of each of many namespaces ask for every Secret of every namespace, by
// every way to write its name, with one Builder that has seen all the others. Each gets its own and nothing else.
func TestSecretsStayInTheirNamespace(t *testing.T) {
	const namespaces, secrets = 8, 5
	certificates := map[string]string{}
	in := mesh.Inputs{MeshNamespace: "istio-system"}
	servers := []*networking.Server{}
	for n := range namespaces {
		namespace := fmt.Sprintf("tenant-%d", n)
		mesh.Add(&in.Pods, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "router", Labels: map[string]string{"istio": "gateway"}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "istio-proxy", Args: []string{"proxy", "router"}}}},
		})
		for i := range secrets {
			certificate, key := keyPair(t)
			name := fmt.Sprintf("secret-%d", i)
			certificates[namespace+"/"+name] = certificate
			mesh.Add(&in.Secrets, &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
				Data:       map[string][]byte{"tls.crt": []byte(certificate), "tls.key": []byte(key)},
			})
			for _, form := range []string{name, "kubernetes://" + name, namespace + "/" + name, "kubernetes://" + namespace + "/" + name, "../" + namespace + "/" + name} {
				servers = append(servers, &networking.Server{
					Port:  &networking.Port{Number: 8443, Protocol: "HTTPS", Name: fmt.Sprintf("p%d", len(servers))},
					Hosts: []string{fmt.Sprintf("h%d.example.com", len(servers))},
					Tls:   &networking.ServerTLSSettings{Mode: networking.ServerTLSSettings_SIMPLE, CredentialName: form},
				})
			}
		}
	}
	var gateways []istioconfig.Object // one for each, because one name that is refused takes its whole Gateway along
	for i, server := range servers {
		gateways = append(gateways, istioconfig.Object{Kind: istioconfig.Gateway, Namespace: "tenant-0", Name: fmt.Sprintf("g%d", i), Spec: &networking.Gateway{
			Selector: map[string]string{"istio": "gateway"}, Servers: []*networking.Server{server},
		}})
	}
	in.Config = mesh.Config(gateways...)
	snapshot := mesh.Build(nil, in)
	builder := NewBuilder()
	for range 2 { // the second time everything is remembered
		for n := range namespaces {
			namespace := fmt.Sprintf("tenant-%d", n)
			proxy, _ := snapshot.Proxy(namespace, "router")
			set, _ := builder.Build(scope.For(snapshot, *proxy))
			for name, r := range set.Of(resource.Secret).All() {
				own := certificates[namespace+"/"+strings.TrimPrefix(name, pairScheme)]
				if own == "" || !strings.Contains(string(r.Body.Value), own) {
					t.Errorf("the router of %s has %s, which is not its own", namespace, name)
				}
			}
			if got := set.Of(resource.Secret).Len(); got != secrets {
				t.Errorf("the router of %s has %d secrets, its namespace %d", namespace, got, secrets)
			}
		}
	}
}

// TestUnprovenAddressIsForOwnNamespace lets a tenant write into an EndpointSlice the address of another's pod, as his
// pod's, and one outside of the cluster. The listener for an address decides about connections to it.
func TestUnprovenAddressIsForOwnNamespace(t *testing.T) {
	const text = `
apiVersion: v1
kind: Service
metadata: {namespace: aaa, name: claims}
spec: {clusterIP: None, ports: [{name: tcp, port: 3306}]}
---
apiVersion: v1
kind: Pod
metadata: {namespace: aaa, name: pod}
status: {podIPs: [{ip: 10.1.0.1}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: aaa, name: claims-1, labels: {kubernetes.io/service-name: claims}}
addressType: IPv4
ports: [{name: tcp, port: 3306}]
endpoints:
- {addresses: [10.1.0.1], targetRef: {kind: Pod, name: pod}}
- {addresses: [10.1.0.2], targetRef: {kind: Pod, name: pod}}
- {addresses: [198.51.100.7]}
---
apiVersion: v1
kind: Pod
metadata: {namespace: victim, name: pod}
status: {podIPs: [{ip: 10.1.0.2}]}
`
	for proxy, want := range map[string]string{
		"victim/pod": "10.1.0.1_3306",
		"aaa/pod":    "10.1.0.1_3306 10.1.0.2_3306 198.51.100.7_3306",
	} {
		set, _ := translate(t, golden.Case{Files: map[string][]byte{"input.yaml": []byte(text), "proxy": []byte(proxy)}})
		var got []string
		for name := range set.Of(resource.Listener).All() {
			if strings.HasSuffix(name, "_3306") {
				got = append(got, name)
			}
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("%s has %q, want %q", proxy, got, want)
		}
	}
}
