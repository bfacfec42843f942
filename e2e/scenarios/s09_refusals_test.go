package scenarios

import (
	"strings"
	"testing"
	"time"
)

// refusals are bad inputs, with the words that their refusal must hold.
var refusals = map[string]struct {
	namespace, yaml string
	want            []string
}{
	"another name": {"istio-operator", `
apiVersion: istio.openshift.com/v1alpha1
kind: Installation
metadata: {name: other}
`, []string{"istio-installation"}},
	"another namespace": {"default", `
apiVersion: istio.openshift.com/v1alpha1
kind: Installation
metadata: {name: istio-installation}
`, []string{"istio-operator"}},
	"an unknown deployment type": {"istio-operator", `
apiVersion: istio.openshift.com/v1alpha1
kind: Installation
metadata: {name: istio-installation}
spec: {deployment_type: windows}
`, []string{"deployment_type", "windows"}},
	"mutual TLS in both homes, differently": {"istio-operator", `
apiVersion: istio.openshift.com/v1alpha1
kind: Installation
metadata: {name: istio-installation}
spec: {istio: {authentication: true}, security: {mtls: {mode: PERMISSIVE}}}
`, []string{"spec.istio.authentication means STRICT", "spec.security.mtls.mode is PERMISSIVE", "remove one of the two"}},
	"a lifetime too short": {"istio-operator", `
apiVersion: istio.openshift.com/v1alpha1
kind: Installation
metadata: {name: istio-installation}
spec: {security: {workloadCertTTL: 10s}}
`, []string{"spec.security.workloadCertTTL", "10s", "between 1m and 2160h"}},
	"a lifetime that is none": {"istio-operator", `
apiVersion: istio.openshift.com/v1alpha1
kind: Installation
metadata: {name: istio-installation}
spec: {security: {workloadCertTTL: one day}}
`, []string{"spec.security.workloadCertTTL", "one day", "such as 24h"}},
	"a weight above all": {bookinfo, `
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: bad}
spec:
  hosts: [reviews]
  http:
  - route:
    - {destination: {host: reviews}, weight: -1}
`, []string{"weight"}},
	"a regex that does not compile": {bookinfo, `
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: bad}
spec:
  hosts: [reviews]
  http:
  - match: [{uri: {regex: "("}}]
    route: [{destination: {host: reviews}}]
`, []string{"regex"}},
	"a kind of route that is not supported yet": {bookinfo, `
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: bad}
spec:
  hosts: [reviews]
  tls:
  - match: [{port: 443, sniHosts: [a.example.com]}]
    route: [{destination: {host: reviews}}]
`, []string{"tls", "not supported"}},
}

// TestRefusals gives bad input to every admission of ours: each is refused with the field, the value and the way out.
func TestRefusals(t *testing.T) {
	for name, c := range refusals {
		t.Run(name, func(t *testing.T) {
			err := mesh.Apply(within(t, 30*time.Second), c.namespace, c.yaml)
			if err == nil {
				t.Fatal("it was accepted")
			}
			for _, word := range c.want {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("the refusal does not say %q: %v", word, err)
				}
			}
		})
	}
}

// TestWrongOrder deletes what must go last while the mesh is installed.
func TestWrongOrder(t *testing.T) {
	for _, target := range [][]string{
		{"delete", "--wait=false", "namespace", "istio-operator"},
		{"delete", "--wait=false", "crd", "installations.istio.openshift.com"},
	} {
		_, err := mesh.Kubectl(within(t, 30*time.Second), target...)
		if err == nil || !strings.Contains(err.Error(), "kubectl delete -n istio-operator installation istio-installation") {
			t.Errorf("kubectl %v: %v; want a refusal that names the command to run first", target, err)
		}
	}
}
