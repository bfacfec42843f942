package istioconfig

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/mesh-operator/mesh-operator/internal/golden"
)

// Each case is an object (in.yaml) and what becomes of it: the specification with today's spellings, and what there is to
// say about it.
func TestGolden(t *testing.T) {
	golden.Run(t, "testdata/*.txtar", func(t *testing.T, c golden.Case) map[string]string {
		in := parse(t, c.Files["in.yaml"])
		before := in.DeepCopy()
		o, err := Decode(in)
		if diff := cmp.Diff(before, in); diff != "" {
			t.Errorf("Decode changed its input (-before +after):\n%s", diff)
		}
		if err != nil {
			return map[string]string{"want.txt": "error: " + err.Error()}
		}
		return map[string]string{"want.txt": report(o), "want.yaml": specYAML(t, o.Spec)}
	})
}

func report(o Object) string {
	var b strings.Builder
	for _, r := range o.Rewrites {
		fmt.Fprintln(&b, "rewrite:", r)
	}
	for _, p := range Validate(o) {
		fmt.Fprintln(&b, "problem:", p)
	}
	for _, p := range Warnings(o) {
		fmt.Fprintln(&b, "warning:", p)
	}
	if b.Len() == 0 {
		return "valid"
	}
	return b.String()
}

func specYAML(t *testing.T, spec proto.Message) string {
	t.Helper()
	text, err := protojson.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	out, err := yaml.JSONToYAML(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func parse(t *testing.T, text []byte) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(text, &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

func TestFieldErrorNamesTheField(t *testing.T) {
	cases := map[string]struct {
		reason string
		kind   Kind
		spec   string
		want   FieldError
	}{
		"Unknown": {
			reason: "A typing error must not be dropped in silence.",
			kind:   VirtualService, spec: `{"http":[{"rout":[]}]}`,
			want: FieldError{"spec.http[0].rout", "unknown field"},
		},
		"UnknownInMap": {
			reason: "Map values are messages too.",
			kind:   VirtualService, spec: `{"http":[{"match":[{"headers":{"cookie":{"like":"x"}}}]}]}`,
			want: FieldError{"spec.http[0].match[0].headers[cookie].like", "unknown field"},
		},
		"Duration": {
			reason: "A duration has a unit.",
			kind:   VirtualService, spec: `{"http":[{},{"timeout":"5"}]}`,
			want: FieldError{"spec.http[1].timeout", `"5" is not a duration such as 1.5s, 200ms or 1h30m`},
		},
		"Type": {
			reason: "The innermost wrong value is named, not the specification.",
			kind:   VirtualService, spec: `{"http":[{"route":[{"destination":{"host":"a"}},{"weight":"heavy"}]}]}`,
			want: FieldError{"spec.http[0].route[1].weight", `invalid value for int32 field weight: "heavy"`},
		},
		"Enum": {
			reason: "So are wrong names of an enum.",
			kind:   DestinationRule, spec: `{"trafficPolicy":{"tls":{"mode":"ISTIO_MUTAL"}}}`,
			want: FieldError{"spec.trafficPolicy.tls.mode", `invalid value for enum field mode: "ISTIO_MUTAL"`},
		},
		"NotAnObject": {
			reason: "The shape above the first message counts as well.",
			kind:   Gateway, spec: `[1]`,
			want: FieldError{"spec", "must be an object"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var fieldErr *FieldError
			_, err := Decode(newObjectJSON(t, tc.kind, tc.spec))
			if !errors.As(err, &fieldErr) {
				t.Fatalf("%s\nDecode: %v, want a FieldError", tc.reason, err)
			}
			if diff := cmp.Diff(tc.want, *fieldErr); diff != "" {
				t.Errorf("%s\n(-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func newObjectJSON(t testing.TB, kind Kind, spec string) *unstructured.Unstructured {
	t.Helper()
	var raw any
	if err := json.Unmarshal([]byte(spec), &raw); err != nil {
		t.Fatal(err)
	}
	return newObject(kind, raw)
}

func newObject(kind Kind, spec any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": kind.Resource().GroupVersion().String(), "kind": string(kind),
		"metadata": map[string]any{"name": "x", "namespace": "default"}, "spec": spec,
	}}
}

func TestDecodeRefusesOtherKinds(t *testing.T) {
	u := newObject(VirtualService, map[string]any{})
	u.SetAPIVersion("example.com/v1")
	if _, err := Decode(u); err == nil {
		t.Error("Decode accepted a VirtualService of another group")
	}
	u.SetKind("ConfigMap")
	if _, err := Decode(u); err == nil {
		t.Error("Decode accepted a ConfigMap")
	}
}

// FuzzDecode: whatever decodes is in today's spelling, so that decoding its canonical form again changes nothing and finds
// nothing more to rewrite; and both give the same verdict.
func FuzzDecode(f *testing.F) {
	f.Add(0, `{"hosts":["a"],"http":[{"fault":{"abort":{"percent":100,"httpStatus":500}},"route":[{"destination":{"host":"a","port":{"name":"http"}}}]}]}`)
	f.Add(0, `{"http":[{"timeout":"1h2m","mirror":{"host":"b"},"appendHeaders":{"a":"b"},"websocketUpgrade":true}]}`)
	f.Add(1, `{"host":"a","trafficPolicy":{"outlierDetection":{"http":{"consecutiveErrors":1,"interval":"1s"}}}}`)
	f.Add(2, `{"selector":{"istio":"ingressgateway"},"servers":[{"port":{"number":80,"name":"http","protocol":"HTTP"},"hosts":["*"]}]}`)
	f.Add(3, `{"mtls":{"mode":"STRICT"},"portLevelMtls":{"8080":{"mode":"DISABLE"}}}`)
	f.Fuzz(func(t *testing.T, kind int, spec string) {
		var raw any
		if json.Unmarshal([]byte(spec), &raw) != nil || kind < 0 || kind >= len(EnforcedKinds()) {
			return
		}
		first, err := Decode(newObject(EnforcedKinds()[kind], raw))
		if err != nil {
			return
		}
		text, err := protojson.Marshal(first.Spec)
		if err != nil {
			return // invalid UTF-8 or a value outside of JSON
		}
		second, err := Decode(newObjectJSON(t, EnforcedKinds()[kind], string(text)))
		if err != nil {
			t.Fatalf("Decode of its own output %s: %v", text, err)
		}
		if !proto.Equal(first.Spec, second.Spec) || len(second.Rewrites) > 0 {
			t.Errorf("not stable: %s, rewrites %v", text, second.Rewrites)
		}
		first.PortNames = nil
		if diff := cmp.Diff(Validate(first), Validate(second)); diff != "" {
			t.Errorf("verdicts differ (-first +second):\n%s", diff)
		}
	})
}

// TestVirtualServiceLimits has objects that are small as they are written, and many times as large in proxies.
func TestVirtualServiceLimits(t *testing.T) {
	destination := &networking.HTTPRouteDestination{Destination: &networking.Destination{Host: "x"}, Weight: 1}
	for name, c := range map[string]struct {
		hosts, gateways, rules, matches, destinations int
		wild                                          bool
		clients                                       int // that matches tell apart
		want                                          string
	}{
		"ordinary":                      {hosts: 10, gateways: 2, rules: 20, matches: 3, destinations: 3},
		"many hosts":                    {hosts: 1001, rules: 1, destinations: 1, want: "spec.hosts"},
		"many gateways":                 {hosts: 1, gateways: 101, rules: 1, destinations: 1, want: "spec.gateways"},
		"hosts by rules":                {hosts: 1000, rules: 1000, destinations: 1, want: "spec.http"},
		"alternatives by destinations":  {hosts: 1, rules: 1, matches: 1000, destinations: 1000, want: "spec.http"},
		"many alternatives of one host": {hosts: 1, rules: 1, matches: 1000, destinations: 1},
		"many clients":                  {hosts: 1, rules: 60, matches: 50, destinations: 1, clients: 50},
		"too many clients":              {hosts: 1, rules: 1, matches: 51, destinations: 1, clients: 51, want: "spec.http"},
		"a wildcard":                    {hosts: 1, rules: 100, destinations: 1, wild: true},
		"many rules for a wildcard":     {hosts: 1, rules: 200, destinations: 1, wild: true, want: "spec.http"},
		"the same at a gateway":         {hosts: 1, gateways: 1, rules: 200, destinations: 1, wild: true},
	} {
		vs := &networking.VirtualService{}
		for i := range c.hosts {
			vs.Hosts = append(vs.Hosts, fmt.Sprintf("h%d.example.com", i))
		}
		if c.wild {
			vs.Hosts[0] = "*.example.com"
		}
		for i := range c.gateways {
			vs.Gateways = append(vs.Gateways, fmt.Sprintf("g%d", i))
		}
		for range c.rules {
			rule := &networking.HTTPRoute{}
			for i := range c.matches {
				rule.Match = append(rule.Match, &networking.HTTPMatchRequest{Name: fmt.Sprintf("m%d", i)})
				if c.clients > 0 {
					rule.Match[i].SourceLabels = map[string]string{"client": fmt.Sprint(i % c.clients)}
				}
			}
			for range c.destinations {
				rule.Route = append(rule.Route, destination)
			}
			vs.Http = append(vs.Http, rule)
		}
		got := ""
		for _, p := range Validate(Object{Kind: VirtualService, Namespace: "a", Name: "v", Spec: vs}) {
			got += p.Field
		}
		if got != c.want {
			t.Errorf("%s: problems of %q, want %q", name, got, c.want)
		}
	}
}

// TestDestinationRuleAndGatewayLimits has those that ask for more of every service, or of every VirtualService.
func TestDestinationRuleAndGatewayLimits(t *testing.T) {
	rule := func(host string, subsets int) Object {
		dr := &networking.DestinationRule{Host: host}
		for i := range subsets {
			dr.Subsets = append(dr.Subsets, &networking.Subset{Name: fmt.Sprintf("s%d", i)})
		}
		return Object{Kind: DestinationRule, Namespace: "a", Name: "r", Spec: dr}
	}
	names := func(host string, n int, prefix string) Object {
		t := &networking.ClientTLSSettings{Mode: networking.ClientTLSSettings_SIMPLE}
		for i := range n {
			t.SubjectAltNames = append(t.SubjectAltNames, fmt.Sprint(prefix, i))
		}
		return Object{Kind: DestinationRule, Namespace: "a", Name: "r", Spec: &networking.DestinationRule{Host: host, TrafficPolicy: &networking.TrafficPolicy{Tls: t}}}
	}
	gateway := func(servers, hosts int) Object {
		g := &networking.Gateway{Selector: map[string]string{"istio": "ingressgateway"}}
		for i := range servers {
			s := &networking.Server{Port: &networking.Port{Number: 80, Name: fmt.Sprintf("http-%d", i), Protocol: "HTTP"}}
			for j := range hosts {
				s.Hosts = append(s.Hosts, fmt.Sprintf("h%d.example.com", j))
			}
			g.Servers = append(g.Servers, s)
		}
		return Object{Kind: Gateway, Namespace: "a", Name: "g", Spec: g}
	}
	for name, c := range map[string]struct {
		object Object
		want   string
	}{
		"subsets":                  {rule("x", 100), ""},
		"many subsets":             {rule("x", 101), "spec.subsets: 101 subsets are more than 100"},
		"subsets of all":           {rule("*.example.com", 10), ""},
		"many subsets of all":      {rule("*.example.com", 11), "spec.subsets: 11 subsets of all hosts that *.example.com means are more than 10"},
		"names":                    {names("x", 100, "spiffe://cluster.local/ns/outside/sa/server-"), ""},
		"many names":               {names("x", 101, "a"), "spec.trafficPolicy.tls.subjectAltNames: 101 names are more than 100"},
		"long names":               {names("x", 20, strings.Repeat("a", 1000)), "spec.trafficPolicy.tls: 20092 bytes are more than 16384"},
		"names for all":            {names("*.example.com", 10, "server.example.com/"), ""},
		"many names for all":       {names("*.example.com", 60, "server.example.com/"), "spec.trafficPolicy.tls: 1372 bytes for all hosts that *.example.com means are more than 1024"},
		"servers":                  {gateway(100, 10), ""},
		"many servers":             {gateway(101, 1), "spec.servers: 101 servers are more than 100"},
		"many hosts of one server": {gateway(1, 1001), "spec.servers: 1001 hosts of all servers are more than 1000"},
	} {
		got := ""
		for _, p := range Validate(c.object) {
			got += p.Field + ": " + p.Reason
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
