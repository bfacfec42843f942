// Package charts embeds the Helm charts that the operator renders, one per component, so that the binary and the objects it
// installs can never be of different versions. The chart library holds what they share. Values have no defaults here: the
// operator computes all of them (controllers/installation, values.go).
package charts

import "embed"

// FS holds one folder per chart.
//
//go:embed all:base all:citadel all:elasticsearch all:galley all:gateway all:grafana all:grafana-dashboards all:jaeger all:library all:pilot all:prometheus all:sidecar-injector all:telemetry
var FS embed.FS
