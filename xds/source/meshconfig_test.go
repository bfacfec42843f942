package source

import (
	"log/slog"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

func TestInvalidMeshConfigKeepsLastValid(t *testing.T) {
	r := newMeshConfigReader(slog.New(slog.DiscardHandler))
	read := func(text string) string {
		r.set(&corev1.ConfigMap{Data: map[string]string{"mesh": text}})
		return r.last.GetTrustDomain()
	}
	for _, step := range []struct{ text, want string }{
		{"trustDomain: one.example", "one.example"},
		{"trustDomain: [", "one.example"},
		{"trustDomain: 7", "one.example"},
		{"trustDomain: two.example\nfieldOfTheFuture: 1", "two.example"},
		{"", ""},
	} {
		if got := read(step.text); got != step.want {
			t.Errorf("after %q the trust domain is %q, want %q", step.text, got, step.want)
		}
	}
	read("trustDomain: three.example")
	r.remove(nil)
	if got := r.last.GetTrustDomain(); got != "three.example" {
		t.Errorf("after the ConfigMap was deleted the trust domain is %q, want the last good one", got)
	}
}

// TestUnknownMTLSModeKeepsLastValid: without a mode the mesh is strict, and an unknown mode changes nothing.
func TestUnknownMTLSModeKeepsLastValid(t *testing.T) {
	r := newMeshConfigReader(slog.New(slog.DiscardHandler))
	for _, step := range []struct {
		data map[string]string
		want mesh.MTLSMode
	}{
		{nil, mesh.Strict},
		{map[string]string{"mtlsMode": "permissive"}, mesh.Strict},
		{map[string]string{"mtlsMode": "PERMISSIVE"}, mesh.Permissive},
		{map[string]string{"mtlsMode": "STRICT", "mesh": "trustDomain: ["}, mesh.Strict},
		{map[string]string{"mtlsMode": "SOMETIMES"}, mesh.Strict},
		{map[string]string{"mesh": "trustDomain: one.example"}, mesh.Strict},
		{map[string]string{"mtlsMode": "DISABLE"}, mesh.Disable},
	} {
		r.set(&corev1.ConfigMap{Data: step.data})
		in := mesh.Inputs{}
		r.fill(&in)
		if got := mesh.Build(nil, in).Settings.MTLS; got != step.want {
			t.Errorf("after %v the mode is %s, want %s", step.data, got, step.want)
		}
	}
}

// TestTracingOfMeshConfig reads where spans go. A configuration that would make proxies lose them changes nothing.
func TestTracingOfMeshConfig(t *testing.T) {
	const zipkin = `{enableTracing: true, defaultProviders: {tracing: [z]}, defaultConfig: {tracing: {sampling: 5}}, extensionProviders: [{name: z, zipkin: {service: zipkin.test, port: 9411}}]}`
	good := mesh.Tracing{Protocol: mesh.Zipkin, Host: "zipkin.test", Port: 9411, Sampling: 5}
	for name, c := range map[string]struct{ text, want string }{
		"no provider is the default":  {`{enableTracing: true, extensionProviders: [{name: z, zipkin: {service: a, port: 1}}]}`, "defaultProviders.tracing names none"},
		"provider is missing":         {`{enableTracing: true, defaultProviders: {tracing: [z]}}`, "defaultProviders.tracing names none"},
		"kind is not supported":       {`{enableTracing: true, defaultProviders: {tracing: [z]}, extensionProviders: [{name: z, datadog: {service: a, port: 1}}]}`, "defaultProviders.tracing names none"},
		"unknown access log provider": {`{defaultProviders: {accessLogging: [envoy, otel]}}`, "defaultProviders.accessLogging names otel"},
		"access logs without a port":  {`{defaultProviders: {accessLogging: [otel]}, extensionProviders: [{name: otel, envoyOtelAls: {service: a}}]}`, "the port of provider otel is 0"},
		"access logs without a host":  {`{defaultProviders: {accessLogging: [otel]}, extensionProviders: [{name: otel, envoyOtelAls: {port: 1}}]}`, "the service of provider otel is empty"},
		"no service":                  {`{enableTracing: true, defaultProviders: {tracing: [z]}, extensionProviders: [{name: z, zipkin: {port: 1}}]}`, "the provider's service is empty"},
		"no port":                     {`{enableTracing: true, defaultProviders: {tracing: [z]}, extensionProviders: [{name: z, opentelemetry: {service: a}}]}`, "the provider's port is 0"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newMeshConfigReader(slog.New(slog.DiscardHandler))
			r.set(&corev1.ConfigMap{Data: map[string]string{"mesh": zipkin}})
			if _, err := parseMeshConfig(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one that says %q", err, c.want)
			}
			r.set(&corev1.ConfigMap{Data: map[string]string{"mesh": c.text}})
			in := mesh.Inputs{}
			r.fill(&in)
			if got := mesh.Build(nil, in).Settings.Telemetry.Client.Tracing; got == nil || *got != good {
				t.Errorf("tracing is %+v, want %+v", got, good)
			}
		})
	}
}

func FuzzParseMeshConfig(f *testing.F) {
	f.Add("trustDomain: cluster.local\noutboundTrafficPolicy:\n  mode: REGISTRY_ONLY\n")
	f.Add("null")
	f.Fuzz(func(t *testing.T, text string) {
		config, err := parseMeshConfig(text)
		if (config == nil) != (err != nil) {
			t.Errorf("parseMeshConfig(%q) = %v, %v", text, config, err)
		}
	})
}
