package source

import (
	"fmt"
	"log/slog"

	"google.golang.org/protobuf/encoding/protojson"
	meshv1alpha1 "istio.io/api/mesh/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// meshConfigReader keeps the last good mesh configuration: a mistake in the ConfigMap changes nothing until it is mended.
type meshConfigReader struct {
	log  *slog.Logger
	last *meshv1alpha1.MeshConfig
}

func newMeshConfigReader(log *slog.Logger) *meshConfigReader {
	return &meshConfigReader{log: log, last: &meshv1alpha1.MeshConfig{}}
}

func (r *meshConfigReader) read(maps []*corev1.ConfigMap) *meshv1alpha1.MeshConfig {
	if len(maps) == 0 {
		return r.last
	}
	config, err := parseMeshConfig(maps[0].Data[meshConfigKey])
	if err != nil {
		r.log.Error("mesh configuration is invalid, the last good one stays", "configmap", maps[0].Name, "error", err)
		return r.last
	}
	r.last = config
	return config
}

// parseMeshConfig reads the YAML of a MeshConfig. Fields that this version of the API does not know are passed over: the
// operator writes the ConfigMap and may be newer.
func parseMeshConfig(text string) (*meshv1alpha1.MeshConfig, error) {
	json, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("parse mesh configuration: %w", err)
	}
	config := &meshv1alpha1.MeshConfig{}
	if string(json) == "null" {
		return config, nil
	}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(json, config); err != nil {
		return nil, fmt.Errorf("parse mesh configuration: %w", err)
	}
	return config, nil
}
