package desired

import (
	"cmp"
	"fmt"
	"net/url"
	"strconv"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
)

// Providers of spec.telemetry.tracing.
const (
	providerZipkin = "Zipkin"
	providerOTLP   = "OTLP"
	providerNone   = "None"
)

// defaultSampling is Istio's, in percent.
const defaultSampling = "1"

// meshProviders are the kinds of extensionProviders in the mesh configuration.
var meshProviders = map[string]string{providerZipkin: "zipkin", providerOTLP: "opentelemetry"}

// tracing returns the provider of spec and the address of its collector, empty if there is none.
func tracing(spec *v1alpha1.InstallationSpec) (provider, collector string) {
	external := &v1alpha1.JaegerExternalSpec{}
	if spec.Jaeger != nil && spec.Jaeger.External != nil {
		external = spec.Jaeger.External
	}
	if spec.Telemetry != nil && spec.Telemetry.Tracing != nil {
		provider = spec.Telemetry.Tracing.Provider
	}
	if jaegerEnabled(spec) && provider != providerNone {
		provider = cmp.Or(provider, providerZipkin)
		return provider, jaegerCollectorURL(provider)
	}
	switch {
	case provider == providerOTLP || provider == "" && external.OTLPURL != "":
		return providerOTLP, external.OTLPURL
	case provider == providerZipkin || provider == "" && external.ZipkinURL != "":
		return providerZipkin, external.ZipkinURL
	}
	return providerNone, ""
}

// tracingValues are the chart's values of tracing; nil: proxies report no spans.
func tracingValues(spec *v1alpha1.InstallationSpec) any {
	provider, collector := tracing(spec)
	address, err := collectorAddress(collector)
	if provider == providerNone || err != nil { // an error is reported by invalidTracing
		return nil
	}
	values := map[string]any{
		"provider": meshProviders[provider], "host": address.Hostname(), "port": address.Port(), "sampling": defaultSampling, "trustClients": false,
	}
	if t := spec.Telemetry; t != nil && t.Tracing != nil {
		values["trustClients"] = isTrue(t.Tracing.TrustClients)
		if t.Tracing.SamplingPercent != nil {
			values["sampling"] = t.Tracing.SamplingPercent.String()
		}
	}
	return values
}

// invalidTracing checks what the API server refuses too, for an Installation that is older than its rules.
func invalidTracing(spec *v1alpha1.InstallationSpec) []string {
	var problems []string
	if t := spec.Telemetry; t != nil && t.Tracing != nil && t.Tracing.SamplingPercent != nil {
		text := t.Tracing.SamplingPercent.String()
		if percent, err := strconv.ParseFloat(text, 64); err != nil || !(percent >= 0 && percent <= 100) {
			problems = append(problems, fmt.Sprintf("spec.telemetry.tracing.samplingPercent: %q is no percentage; write a number from 0 to 100", text))
		}
	}
	provider, collector := tracing(spec)
	if provider == providerNone {
		return problems
	}
	field := map[string]string{providerZipkin: "zipkinURL", providerOTLP: "otlpURL"}[provider]
	if collector == "" {
		return append(problems, fmt.Sprintf("spec.telemetry.tracing.provider: %s has no collector; write the address of one to spec.jaeger.external.%s", provider, field))
	}
	if _, err := collectorAddress(collector); err != nil {
		problems = append(problems, fmt.Sprintf("spec.jaeger.external.%s: %q is no address of a collector; write http://host:port without a path", field, collector))
	}
	return problems
}

// collectorAddress parses http://host:port.
func collectorAddress(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("parse collector address: %w", err)
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil || port == 0 || u.Scheme != "http" || u.Hostname() == "" || u.User != nil || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("parse collector address: %q is not http://host:port", text)
	}
	return u, nil
}
