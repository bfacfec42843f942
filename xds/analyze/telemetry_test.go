package analyze

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	meshv1alpha1 "istio.io/api/mesh/v1alpha1"
	telemetry "istio.io/api/telemetry/v1alpha1"
	"sigs.k8s.io/yaml"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// telemetryOf is a Telemetry object; of two the one of the smaller age is older.
func telemetryOf(t *testing.T, namespace, name string, age int64, spec string) istioconfig.Object {
	t.Helper()
	json, err := yaml.YAMLToJSON([]byte(spec))
	if err != nil {
		t.Fatal(err)
	}
	m := &telemetry.Telemetry{}
	if err := protojson.Unmarshal(json, m); err != nil {
		t.Fatal(err)
	}
	return istioconfig.Object{Kind: istioconfig.Telemetry, Namespace: namespace, Name: name, Created: time.Unix(age, 0), Spec: m}
}

func tracedConfig() *meshv1alpha1.MeshConfig {
	provider := func(name string) *meshv1alpha1.MeshConfig_ExtensionProvider {
		return &meshv1alpha1.MeshConfig_ExtensionProvider{Name: name, Provider: &meshv1alpha1.MeshConfig_ExtensionProvider_Zipkin{
			Zipkin: &meshv1alpha1.MeshConfig_ExtensionProvider_ZipkinTracingProvider{Service: name, Port: 9411},
		}}
	}
	return &meshv1alpha1.MeshConfig{
		AccessLogFile: "/dev/stdout", EnableTracing: true,
		DefaultProviders:   &meshv1alpha1.MeshConfig_DefaultProviders{Tracing: []string{"first"}},
		ExtensionProviders: []*meshv1alpha1.MeshConfig_ExtensionProvider{provider("first"), provider("second")},
		DefaultConfig:      &meshv1alpha1.ProxyConfig{Tracing: &meshv1alpha1.Tracing{Sampling: 1}},
	}
}

// TestTelemetryWithoutEffect has a mesh of one pod.
func TestTelemetryWithoutEffect(t *testing.T) {
	const a = "selector: {matchLabels: {app: a}}\n"
	for name, c := range map[string]struct {
		config  *meshv1alpha1.MeshConfig
		objects []istioconfig.Object
		want    []mesh.Problem
	}{
		"in effect": {tracedConfig(), []istioconfig.Object{
			telemetryOf(t, "root", "x", 9, "accessLogging: [{providers: [{name: envoy-json}]}]"),
			telemetryOf(t, "ns", "x", 9, "tracing: [{providers: [{name: second}]}]"),
			telemetryOf(t, "ns", "w", 9, a+"tracing: [{randomSamplingPercentage: 3}]"),
		}, nil},
		"no pod": {tracedConfig(), []istioconfig.Object{
			telemetryOf(t, "ns", "x", 1, "selector: {matchLabels: {app: b}}\naccessLogging: [{}]"),
		}, []mesh.Problem{{Object: "Telemetry/ns/x", Field: "spec.selector.matchLabels", Reason: "no pod of namespace ns has these labels and a proxy"}}},
		"an older one for the mesh": {tracedConfig(), []istioconfig.Object{
			telemetryOf(t, "root", "old", 1, "accessLogging: [{}]"), telemetryOf(t, "root", "x", 2, "accessLogging: [{}]"),
		}, []mesh.Problem{{Object: "Telemetry/root/x", Field: "spec.selector", Reason: "Telemetry/root/old is older and decides for the mesh"}}},
		"an older one for the namespace": {tracedConfig(), []istioconfig.Object{
			telemetryOf(t, "ns", "old", 1, "accessLogging: [{}]"), telemetryOf(t, "ns", "x", 2, "accessLogging: [{}]"),
		}, []mesh.Problem{{Object: "Telemetry/ns/x", Field: "spec.selector", Reason: "Telemetry/ns/old is older and decides for namespace ns"}}},
		"an older one for the workload": {tracedConfig(), []istioconfig.Object{
			telemetryOf(t, "ns", "old", 1, a+"accessLogging: [{}]"), telemetryOf(t, "ns", "x", 2, a+"accessLogging: [{}]"),
		}, []mesh.Problem{{Object: "Telemetry/ns/x", Field: "spec.selector.matchLabels", Reason: "Telemetry/ns/old is older and decides for all pods that it selects"}}},
		"unknown providers": {tracedConfig(), []istioconfig.Object{
			telemetryOf(t, "ns", "x", 1, "accessLogging: [{providers: [{name: other}]}]\ntracing: [{providers: [{name: other}]}]"),
		}, []mesh.Problem{
			{Object: "Telemetry/ns/x", Field: "spec.accessLogging[0].providers[0].name", Reason: "there is no provider other for access logs; there are envoy, envoy-json"},
			{Object: "Telemetry/ns/x", Field: "spec.tracing[0].providers[0].name", Reason: "there is no tracing provider other; there is first, second"},
		}},
		"no tracing": {&meshv1alpha1.MeshConfig{}, []istioconfig.Object{
			telemetryOf(t, "ns", "x", 1, "tracing: [{randomSamplingPercentage: 3}, {disableSpanReporting: true}]"),
		}, []mesh.Problem{{Object: "Telemetry/ns/x", Field: "spec.tracing[0]", Reason: "the mesh has no tracing provider: no spans are reported"}}},
	} {
		in := onePod()
		in.MeshConfig = c.config
		mesh.AddConfig(&in.Config, c.objects...)
		if diff := cmp.Diff(c.want, Check(mesh.Build(nil, in))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
