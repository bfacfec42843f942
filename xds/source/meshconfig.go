package source

import (
	"fmt"
	"log/slog"
	"sync"

	"google.golang.org/protobuf/encoding/protojson"
	meshv1alpha1 "istio.io/api/mesh/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// meshConfigReader keeps the last good mesh configuration: a mistake in the ConfigMap changes nothing until it is mended,
// and neither does its removal.
type meshConfigReader struct {
	log *slog.Logger

	mu   sync.Mutex
	last *meshv1alpha1.MeshConfig
}

func newMeshConfigReader(log *slog.Logger) *meshConfigReader {
	return &meshConfigReader{log: log, last: &meshv1alpha1.MeshConfig{}}
}

func (r *meshConfigReader) set(object any) {
	m, ok := object.(*corev1.ConfigMap)
	if !ok {
		return
	}
	config, err := parseMeshConfig(m.Data[meshConfigKey])
	if err != nil {
		r.log.Error("mesh configuration is invalid, the last good one stays", "configmap", m.Name, "error", err)
		return
	}
	r.mu.Lock()
	r.last = config
	r.mu.Unlock()
}

func (r *meshConfigReader) remove(any) {}

func (r *meshConfigReader) fill(in *mesh.Inputs) {
	r.mu.Lock()
	in.MeshConfig = r.last
	r.mu.Unlock()
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
