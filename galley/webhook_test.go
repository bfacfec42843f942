package galley

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

func TestReview(t *testing.T) {
	const head = "apiVersion: networking.istio.io/v1alpha3\nkind: VirtualService\nmetadata: {name: a}\n"
	type answer struct {
		Allowed  bool
		Message  string
		Causes   []string
		Warnings []string
	}
	cases := map[string]struct {
		reason, object string
		operation      admissionv1.Operation
		sub            string
		want           answer
	}{
		"Valid": {reason: "Nothing to say.", object: head + "spec: {hosts: [a], http: [{route: [{destination: {host: a}}]}]}",
			want: answer{Allowed: true}},
		"OldSpelling": {reason: "It works, and the author learns the new word.",
			object: head + "spec: {hosts: [a], http: [{fault: {abort: {percent: 100, httpStatus: 500}}, route: [{destination: {host: a}}]}]}",
			want:   answer{Allowed: true, Warnings: []string{"spec.http[0].fault.abort.percent: percent is an old spelling, read as percentage.value"}}},
		"Ignored": {reason: "A rule that does nothing is accepted as the articles write it, and said to do nothing.",
			object: head + "spec: {hosts: [a], http: [{match: [{headers: {end-user: {exact: jason}}}]}]}",
			want:   answer{Allowed: true, Warnings: []string{"spec.http[0]: has neither route nor redirect: the rule is ignored (add a route with a destination)"}}},
		"NotSupported": {reason: "A rule that would do nothing in silence is refused.", object: head + "spec: {hosts: [a], tls: [{match: [{sniHosts: [a]}]}]}",
			want: answer{Message: "spec.tls: not supported yet (remove it: TLS is forwarded to the service it was sent to)", Causes: []string{"spec.tls"}}},
		"Unknown": {reason: "A misspelt field too.", object: head + "spec: {hosts: [a], http: [{rout: []}]}",
			want: answer{Message: "spec.http[0].rout: unknown field", Causes: []string{"spec.http[0].rout"}}},
		"Several": {reason: "All problems are named at once.", object: head + "spec: {hosts: [a_b]}",
			want: answer{Message: `spec.hosts[0]: "a_b" is not a host name (use a service name, a domain name, or *.domain; no scheme, port or path); spec.http: is required (add a rule with a route)`,
				Causes: []string{"spec.hosts[0]", "spec.http"}}},
		"Deleting": {reason: "An invalid object must be able to go.", operation: admissionv1.Update,
			object: "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, deletionTimestamp: '2026-01-01T00:00:00Z'}\nspec: {tls: [{}]}",
			want:   answer{Allowed: true}},
		"Status": {reason: "A status is not the user's.", operation: admissionv1.Update, sub: "status", object: head + "spec: {tls: [{}]}",
			want: answer{Allowed: true}},
		"UnenforcedKind": {reason: "An object that would have no effect is refused with an alternative, whatever it says.",
			object: "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a}\nspec: {action: DENY, rulez: []}",
			want: answer{Message: "kind: AuthorizationPolicy is not supported yet: it would have no effect (limit who connects with a NetworkPolicy, " +
				"and require mutual TLS with a PeerAuthentication)", Causes: []string{"kind"}}},
		"OtherKind": {reason: "A webhook that is registered for too much must not admit what it does not know.",
			object: "apiVersion: example.com/v1\nkind: EnvoyFilter\nmetadata: {name: a}",
			want:   answer{Message: "kind: decode example.com/v1 EnvoyFilter: not a kind of Istio's API", Causes: []string{"kind"}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			raw, err := yaml.YAMLToJSON([]byte(tc.object))
			if err != nil {
				t.Fatal(err)
			}
			if tc.operation == "" {
				tc.operation = admissionv1.Create
			}
			w := newWebhook(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
			response := w.review(t.Context(), &admissionv1.AdmissionRequest{
				UID: "1", Kind: metav1.GroupVersionKind{Kind: "VirtualService"}, Operation: tc.operation, SubResource: tc.sub,
				Object: runtime.RawExtension{Raw: raw},
			})
			got := answer{Allowed: response.Allowed, Warnings: response.Warnings}
			if response.Result != nil {
				got.Message = response.Result.Message
				for _, c := range response.Result.Details.Causes {
					got.Causes = append(got.Causes, c.Field)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s\n(-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestUnknownKindHasNoMetricLabel is about CVE-2025-43915: a client without credentials may send any kind, and each would be a
// series of its own.
func TestUnknownKindHasNoMetricLabel(t *testing.T) {
	registry := prometheus.NewRegistry()
	w := newWebhook(slog.New(slog.DiscardHandler), registry)
	for i := range 100 {
		w.review(t.Context(), &admissionv1.AdmissionRequest{
			UID: "1", Kind: metav1.GroupVersionKind{Kind: fmt.Sprintf("Kind%d", i)}, Operation: admissionv1.Create,
			Object: runtime.RawExtension{Raw: []byte(`{"apiVersion":"v1","kind":"X","metadata":{"name":"a"}}`)},
		})
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if len(families) != 1 || len(families[0].GetMetric()) != 1 {
		t.Errorf("a hundred kinds made %v", families)
	}
}
