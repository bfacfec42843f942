package scenarios

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// TestGalleyRefuses creates each kind of invalid Istio configuration, as a dry run: galley refuses it and names the field and
// the reason.
func TestGalleyRefuses(t *testing.T) {
	readyMesh(t)
	cases := map[string]struct{ yaml, says string }{
		"a field that is not supported yet": {virtualService(`tls: [{match: [{port: 443, sniHosts: [a.example.com]}], route: [{destination: {host: a}}]}]`),
			"spec.tls: not supported yet (remove it: TLS is forwarded to the service it was sent to)"},
		"a value that is not supported yet": {destinationRule(`trafficPolicy: {loadBalancer: {simple: PASSTHROUGH}}`),
			"spec.trafficPolicy.loadBalancer.simple: PASSTHROUGH is not supported yet"},
		"a port by its name": {virtualService(`http: [{route: [{destination: {host: a, port: {name: http}}}]}]`),
			"spec.http[0].route[0].destination.port.name: not supported yet: a port by its name (give its number: port: {number: ...})"},
		"something missing": {virtualService(`gateways: [mesh]`), "spec.http: is required (add a rule with a route)"},
		"an expression that does not compile": {virtualService(`http: [{match: [{uri: {regex: "("}}], route: [{destination: {host: a}}]}]`),
			"spec.http[0].match[0].uri.regex: is not a regular expression of RE2"},
		"a wildcard as destination": {virtualService(`http: [{route: [{destination: {host: "*.reviews"}}]}]`),
			`spec.http[0].route[0].destination.host: "*.reviews": a wildcard is not allowed here`},
		"something twice": {destinationRule(`subsets: [{name: v1}, {name: v1}]`), `spec.subsets[1].name: "v1" is there twice`},
		"a client without a certificate": {destinationRule(`trafficPolicy: {tls: {mode: MUTUAL}}`),
			"spec.trafficPolicy.tls.clientCertificate: is required for MUTUAL (name the file that is mounted into the proxy, or for gateways a Secret in credentialName)"},
		"a file of the proxy's own": {destinationRule(`trafficPolicy: {tls: {mode: SIMPLE, caCertificates: /var/run/secrets/tokens/istio-token}}`),
			`spec.trafficPolicy.tls.caCertificates: "/var/run/secrets/tokens/istio-token" is in /var/run, which rules may not use`},
		"HTTPS without a certificate": {gateway(`{selector: {istio: a}, servers: [{port: {number: 443, name: https, protocol: HTTPS}, hosts: ["*"], tls: {mode: SIMPLE}}]}`),
			"spec.servers[0].tls.credentialName: is required"},
		"ports of no workload": {istioObject("security.istio.io/v1beta1", "PeerAuthentication", `portLevelMtls: {8080: {mode: DISABLE}}`), "spec.portLevelMtls"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			answer := tryYAML(t, c.yaml)
			if !strings.Contains(answer.Refusal, "denied the request: ") || !strings.Contains(answer.Refusal, c.says) {
				t.Errorf("refusal %q; want one by galley with %q", answer.Refusal, c.says)
			}
		})
	}
}

// TestGalleyWarnsOfOldSpellings creates configuration as articles of Istio 0.8 and 1.0 print it, as a dry run: it is accepted
// with a warning that names the current field.
func TestGalleyWarnsOfOldSpellings(t *testing.T) {
	readyMesh(t)
	const route = `route: [{destination: {host: a}}]`
	cases := map[string]struct{ yaml, says string }{
		"a whole percentage of aborts": {virtualService(`http: [{fault: {abort: {percent: 100, httpStatus: 500}}, ` + route + `}]`),
			"spec.http[0].fault.abort.percent: percent is an old spelling, read as percentage.value"},
		"a whole percentage of delays": {virtualService(`http: [{fault: {delay: {percent: 50, fixedDelay: 2s}}, ` + route + `}]`),
			"spec.http[0].fault.delay.percent: percent is an old spelling, read as percentage.value"},
		"a switch for WebSocket": {virtualService(`http: [{websocketUpgrade: true, ` + route + `}]`),
			"spec.http[0].websocketUpgrade: websocketUpgrade is an old spelling, read as nothing: upgrades to WebSocket are always allowed"},
		"errors in a row": {destinationRule(`trafficPolicy: {outlierDetection: {consecutiveErrors: 1, interval: 1s}}`),
			"spec.trafficPolicy.outlierDetection.consecutiveErrors: consecutiveErrors is an old spelling, read as consecutive5xxErrors"},
		"a circuit breaker for HTTP": {destinationRule(`trafficPolicy: {outlierDetection: {http: {consecutiveErrors: 1, interval: 1s, baseEjectionTime: 3m, maxEjectionPercent: 100}}}`),
			"spec.trafficPolicy.outlierDetection.http: outlierDetection.http is an old spelling, read as outlierDetection"},
		"a rule without a route": {virtualService(`http: [{match: [{headers: {end-user: {exact: jason}}}]}, {` + route + `}]`),
			"spec.http[0]: has neither route nor redirect: the rule is ignored (add a route with a destination)"},
		"a Secret for sidecars": {destinationRule(`trafficPolicy: {tls: {mode: MUTUAL, credentialName: a}}`),
			"spec.trafficPolicy.tls.credentialName: is for gateways: calls of sidecars to this host fail"},
		"an abort of nothing": {virtualService(`http: [{fault: {abort: {httpStatus: 500}}, ` + route + `}]`),
			"spec.http[0].fault.abort: has no percentage: no request is aborted (add percentage: {value: 100})"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			answer := tryYAML(t, c.yaml)
			if answer.Refusal != "" || !slices.ContainsFunc(answer.Warnings, func(w string) bool { return strings.Contains(w, c.says) }) {
				t.Errorf("%+v; want a warning with %q", answer, c.says)
			}
		})
	}
}

func istioObject(apiVersion, kind, spec string) string {
	if !strings.HasPrefix(spec, "{") {
		spec = "{" + spec + "}"
	}
	return "apiVersion: " + apiVersion + "\nkind: " + kind + "\nmetadata: {name: tried}\nspec: " + spec + "\n"
}

func virtualService(spec string) string {
	return istioObject("networking.istio.io/v1alpha3", "VirtualService", "{hosts: [a], "+spec+"}")
}

func destinationRule(spec string) string {
	return istioObject("networking.istio.io/v1alpha3", "DestinationRule", "{host: a, "+spec+"}")
}

func gateway(spec string) string { return istioObject("networking.istio.io/v1alpha3", "Gateway", spec) }

// tryYAML creates one object in namespace default as a dry run.
func tryYAML(t *testing.T, text string) lab.Answer {
	t.Helper()
	objects, err := lab.Objects(text)
	must(t, err)
	answer, err := mesh.TryCreate(within(t, 30*time.Second), objects[0])
	must(t, err)
	return answer
}
