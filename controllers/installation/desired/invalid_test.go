package desired

import (
	"strings"
	"testing"
)

// TestInvalidComponents: a value that the API server would refuse in another object, or drop, is named with its own field.
func TestInvalidComponents(t *testing.T) {
	for spec, want := range map[string]string{
		`components: {pilot: {resources: {limits: {memroy: 1Gi}}}}`:                                              "spec.components.pilot.resources.limits: memroy is no resource; write cpu, memory or ephemeral-storage",
		`components: {galley: {resources: {requests: {cpu: -1}}}}`:                                               "spec.components.galley.resources.requests.cpu: -1 is negative; write a positive quantity",
		`components: {citadel: {resources: {requests: {memory: 2Gi}, limits: {memory: 1Gi}}}}`:                   "spec.components.citadel.resources.requests.memory: 2Gi is more than the limit 1Gi; lower it, or raise limits.memory",
		`injection: {proxy: {resources: {requests: {cpu: 2}, limits: {cpu: 1}}}}`:                                "spec.injection.proxy.resources.requests.cpu: 2 is more than the limit 1; lower it, or raise limits.cpu",
		`components: {pilot: {podLabels: {"a b": c}}}`:                                                           `spec.components.pilot.podLabels: "a b" is no label key; write letters, digits, -, _ and . such as team or example.com/team`,
		`components: {pilot: {podLabels: {a: "b c"}}}`:                                                           `spec.components.pilot.podLabels[a]: "b c" is no label value; write at most 63 letters, digits, -, _ and .`,
		`components: {pilot: {image: "my image:1"}}`:                                                             `spec.components.pilot.image: "my image:1" is no image reference; write registry/name:tag, without spaces and without https://`,
		`gateways: [{name: g, image: "https://r.example/i:1"}]`:                                                  `spec.gateways[g].image: "https://r.example/i:1" is no image reference; write registry/name:tag, without spaces and without https://`,
		`components: {pilot: {affinity: {podAntiAffinty: {}}}}`:                                                  `spec.components.pilot.affinity: unknown field "podAntiAffinty"; see kubectl explain pod.spec.affinity`,
		`components: {pilot: {topologySpreadConstraints: [{maxSkw: 1}]}}`:                                        `spec.components.pilot.topologySpreadConstraints: unknown field "maxSkw"; see kubectl explain pod.spec.topologySpreadConstraints`,
		`gateways: [{name: g, service: {ports: [{name: http-a, port: 8080}, {name: http-b, port: 8080}]}}]`:      "spec.gateways[g].service.ports: http-a and http-b both have port 8080; give one of them another number",
		`components: {pilot: {affinity: {podAntiAffinity: {}}, podLabels: {a: b}, image: "r.example:5000/i:1"}}`: "",
		`components: {pilot: {resources: {requests: {cpu: 1}, limits: {cpu: 1, example.com/device: 1}}}}`:        "",
	} {
		if got := strings.Join(invalidComponents(specOf(t, spec)), "; "); got != want {
			t.Errorf("%s:\n got %q\nwant %q", spec, got, want)
		}
	}
}
