package mesh

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	meshv1alpha1 "istio.io/api/mesh/v1alpha1"
	telemetry "istio.io/api/telemetry/v1alpha1"
	"sigs.k8s.io/yaml"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
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

// TestTelemetryIsMerged reads what the pod of the small mesh reports as a client and as a server.
func TestTelemetryIsMerged(t *testing.T) {
	const defaults = "envoy; first 1%"
	const a = "selector: {matchLabels: {app: a}}\n"
	for name, c := range map[string]struct {
		objects        []istioconfig.Object
		client, server string
	}{
		"none": {nil, defaults, defaults},
		"of another namespace": {[]istioconfig.Object{
			telemetryOf(t, "elsewhere", "x", 1, "accessLogging: [{disabled: true}]"),
		}, defaults, defaults},
		"of the root namespace, with a selector": {[]istioconfig.Object{
			telemetryOf(t, "root", "x", 1, a+"accessLogging: [{disabled: true}]"),
		}, defaults, defaults},
		"of another workload": {[]istioconfig.Object{
			telemetryOf(t, "ns", "x", 1, "selector: {matchLabels: {app: b}}\naccessLogging: [{disabled: true}]"),
		}, defaults, defaults},
		"off for the mesh": {[]istioconfig.Object{
			telemetryOf(t, "root", "x", 1, "accessLogging: [{disabled: true}]\ntracing: [{disableSpanReporting: true}]"),
		}, "-; -", "-; -"},
		"narrower scopes override": {[]istioconfig.Object{
			telemetryOf(t, "root", "x", 1, "accessLogging: [{disabled: true}]\ntracing: [{disableSpanReporting: true, randomSamplingPercentage: 5}]"),
			telemetryOf(t, "ns", "x", 1, "accessLogging: [{filter: {expression: metadata.b}}]"),
			telemetryOf(t, "ns", "w", 1, a+"accessLogging: [{match: {mode: SERVER}, disabled: true}]\ntracing: [{match: {mode: CLIENT}, disableSpanReporting: false}]"),
		}, "envoy(metadata.b); first 5%", "-; -"},
		"the older of two": {[]istioconfig.Object{
			telemetryOf(t, "ns", "young", 9, a+"accessLogging: [{disabled: true}]"),
			telemetryOf(t, "ns", "old", 1, a+"accessLogging: [{filter: {expression: metadata.f}}]"),
		}, "envoy(metadata.f); first 1%", "envoy(metadata.f); first 1%"},
		"what the narrowest scope names are the only providers": {[]istioconfig.Object{
			telemetryOf(t, "root", "x", 1, "accessLogging: [{providers: [{name: envoy}]}]"),
			telemetryOf(t, "ns", "x", 1, "accessLogging: [{providers: [{name: envoy-json}], filter: {expression: metadata.f}}]"),
		}, "envoy-json(metadata.f); first 1%", "envoy-json(metadata.f); first 1%"},
		"an entry without providers is about those before": {[]istioconfig.Object{
			telemetryOf(t, "ns", "x", 1, "accessLogging: [{providers: [{name: envoy-json}]}, {match: {mode: CLIENT}, disabled: true}]"),
		}, "-; first 1%", "envoy-json; first 1%"},
		"unknown providers": {[]istioconfig.Object{
			telemetryOf(t, "ns", "x", 1, "accessLogging: [{providers: [{name: other}]}]\ntracing: [{providers: [{name: other}]}]"),
		}, "-; -", "-; -"},
		"another tracing provider": {[]istioconfig.Object{
			telemetryOf(t, "root", "x", 1, "tracing: [{randomSamplingPercentage: 50, customTags: {a: {literal: {value: b}}, h: {header: {name: x}}}}]"),
			telemetryOf(t, "ns", "x", 1, "tracing: [{match: {mode: SERVER}, providers: [{name: second}]}]"),
		}, "envoy; first 50% a=literal:b h=header:x", "envoy; second 50% a=literal:b h=header:x"},
		"tags are replaced as a whole": {[]istioconfig.Object{
			telemetryOf(t, "root", "x", 1, "tracing: [{customTags: {a: {literal: {value: b}}}}]"),
			telemetryOf(t, "ns", "x", 1, "tracing: [{customTags: {e: {environment: {name: E}}}}]"),
		}, "envoy; first 1% e=environment:E", "envoy; first 1% e=environment:E"},
	} {
		in := smallMesh()
		in.MeshConfig = tracedConfig()
		AddConfig(&in.Config, c.objects...)
		s := Build(nil, in)
		proxy, ok := s.Proxy("ns", "a-1")
		if !ok {
			t.Fatalf("no pod in %v", s.in.Pods)
		}
		got := proxy.Telemetry
		if got == nil {
			got = s.Settings.Telemetry
		}
		if diff := cmp.Diff([]string{c.client, c.server}, []string{reportsText(got.Client), reportsText(got.Server)}); diff != "" {
			t.Errorf("%s: client and server (-want +got):\n%s", name, diff)
		}
	}
}

func reportsText(r Reports) string {
	text := ""
	for _, l := range r.AccessLogs {
		text += l.Provider
		if l.Filter != "" {
			text += "(" + l.Filter + ")"
		}
	}
	if text == "" {
		text = "-"
	}
	if r.Tracing == nil {
		return text + "; -"
	}
	text += fmt.Sprintf("; %s %v%%", r.Tracing.Host, r.Tracing.Sampling)
	for _, tag := range r.SpanTags {
		text += fmt.Sprintf(" %s=%s:%s", tag.Name, tag.From, tag.Value)
	}
	return text
}
