// Package injecttemplate holds the configuration that the sidecar injector starts with: its policy and the template of the
// sidecar. The operator writes it to the ConfigMap istio-sidecar-injector, where an administrator may change it; meshctl
// uses it when there is no cluster to ask.
package injecttemplate

import (
	_ "embed"

	"github.com/mesh-operator/mesh-operator/internal/version"
)

//go:embed config.yaml
var config string

// Config returns the text of the ConfigMap's key config.
func Config() string { return config }

// Values returns what the template is rendered with when no Installation says otherwise.
func Values() string {
	return `{"proxyImage": "quay.io/mesh-operator/proxyv2:` + version.Version + `", ` +
		`"resources": {"requests": {"cpu": "10m", "memory": "64Mi"}}}`
}
