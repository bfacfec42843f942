// Package injecttemplate holds the configuration that the sidecar injector starts with: its policy, the template of the
// sidecar and the values that it is rendered with. The operator writes them to the ConfigMap istio-sidecar-injector; meshctl
// uses them when there is no cluster to ask.
package injecttemplate

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"

	"github.com/mesh-operator/mesh-operator/internal/owner"
	"github.com/mesh-operator/mesh-operator/internal/version"
)

//go:embed config.yaml
var config string

// Config returns the text of the ConfigMap's key config.
func Config() string { return config }

// Values returns the ConfigMap's key values: what is set, over what holds when no Installation says otherwise, with a
// version of it all. Injected pods carry the version, which tells those that would get another sidecar now.
func Values(set map[string]any) (map[string]any, error) {
	image := "quay.io/mesh-operator/proxyv2:" + version.Version
	values := map[string]any{
		"proxyImage": image, "initImage": image, "pullPolicy": "IfNotPresent", "imagePullSecrets": []any{},
		"resources": map[string]any{"requests": map[string]any{"cpu": "10m", "memory": "64Mi"}},
		// Limits too, because a ResourceQuota on limits refuses a pod with a container that has none.
		"initResources": map[string]any{
			"requests": map[string]any{"cpu": "10m", "memory": "16Mi"}, "limits": map[string]any{"cpu": "500m", "memory": "128Mi"},
		},
		"concurrency": 2, "logLevel": "warning",
		"caAddress":    "istio-citadel." + owner.MeshNamespace + ".svc:8060",
		"pilotAddress": "istio-pilot." + owner.MeshNamespace + ".svc:15011",
		"trustDomain":  "cluster.local", "revision": owner.DefaultRevision,
		"terminationDrainDuration": "5s", "meshNamespace": owner.MeshNamespace,
	}
	maps.Copy(values, set)
	text, err := json.Marshal(values) // keys are sorted
	if err != nil {
		return nil, fmt.Errorf("encode values: %w", err)
	}
	sum := sha256.Sum256(append([]byte(config), text...))
	values["version"] = hex.EncodeToString(sum[:8])
	return values, nil
}

// DefaultValues returns the text of the key values when no Installation says otherwise.
func DefaultValues() ([]byte, error) {
	values, err := Values(nil)
	if err != nil {
		return nil, err
	}
	return json.Marshal(values)
}
