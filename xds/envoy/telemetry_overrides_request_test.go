package envoy

import (
	"net/http"
	"testing"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"

	"github.com/mesh-operator/mesh-operator/internal/envoytest"
	"github.com/mesh-operator/mesh-operator/internal/telemetry"
)

// TestMetricsFollowTelemetry disables metrics, removes labels and adds some, for one side or both.
func TestMetricsFollowTelemetry(t *testing.T) {
	ca, port := newAuthority(t), envoytest.FreePort(t)
	text := pairMesh(port, "http", "STRICT", "/dev/null") +
		telemetryObject("istio-system", "mesh", `{metrics: [{providers: [{name: prometheus}], overrides: [
  {match: {metric: REQUEST_SIZE}, disabled: true},
  {match: {metric: REQUEST_COUNT, mode: SERVER}, tagOverrides: {response_flags: {operation: REMOVE}, source_app: {operation: REMOVE}}},
  {match: {metric: REQUEST_COUNT, mode: CLIENT}, tagOverrides: {
    host: {value: request.host}, stage: {value: "'test'"}, tenant: {value: "request.headers['x-tenant']"}, missing: {value: "request.headers['x-missing']"}}}]}]}`) +
		telemetryObject("default", "server", `{selector: {matchLabels: {app: server}}, metrics: [{overrides: [
  {match: {mode: SERVER}, disabled: true}, {match: {metric: REQUEST_COUNT}, disabled: false}]}]}`)
	_, server := startServerFor(t, text, port, ca.member(t, "server"), metricApp(t))
	caller, client := runOutbound(t, text, "0.0.0.0_80", ca.member(t, "client"))
	caller.getHost(t, "server.default", "/", http.Header{"X-Tenant": {`a"b`}})

	atServer := labelsOf(telemetry.Destination, "response_flags", "", "source_app", "")
	wantSeries(t, server, "server", "istio_requests_total", metric{atServer, 1})
	wantSeries(t, server, "server", "istio_response_bytes")
	wantSeries(t, client, "client", "istio_response_bytes", metric{labelsOf(telemetry.Source), 1})
	atClient := labelsOf(telemetry.Source)
	atClient["host"], atClient["stage"], atClient["tenant"], atClient["missing"] = "server.default", "test", `a"b`, "unknown"
	wantSeries(t, client, "client", "istio_requests_total", metric{atClient, 1})
	wantSeries(t, client, "client", "istio_request_bytes")
}

// TestMetricsOfAllSidesCanBeDisabled leaves no logger, over HTTP and TCP.
func TestMetricsOfAllSidesCanBeDisabled(t *testing.T) {
	for _, protocol := range []string{"http", "tcp"} {
		ca, port := newAuthority(t), envoytest.FreePort(t)
		text := pairMesh(port, protocol, "STRICT", "/dev/null") +
			telemetryObject("istio-system", "mesh", `{metrics: [{overrides: [{disabled: true}]}]}`)
		_, server := startServerFor(t, text, port, ca.member(t, "server"), metricApp(t))
		if names := scrapeAs(t, ownOf("server"), server); len(names) > 0 {
			t.Errorf("%s: there are %v", protocol, names)
		}
		b := bootstrapFor(t, text, "default/client")
		for _, l := range b.StaticResources.Listeners {
			eachMetricsLogger(t, l, func(*accesslogv3.AccessLog) { t.Errorf("%s: a listener has a logger of metrics", l.Name) })
		}
	}
}
