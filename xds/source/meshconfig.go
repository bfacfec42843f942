package source

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"google.golang.org/protobuf/encoding/protojson"
	meshv1alpha1 "istio.io/api/mesh/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// mtlsModeKey is beside the MeshConfig, which has no field for it.
const mtlsModeKey = "mtlsMode"

// trustClientTracesKey is beside the MeshConfig for the same reason; see mesh.Tracing.TrustClients.
const trustClientTracesKey = "trustClientTraces"

var modes = []mesh.MTLSMode{mesh.Strict, mesh.Permissive, mesh.Disable}

// meshConfigReader keeps the last good mesh configuration: an error in the ConfigMap changes nothing until it is mended,
// and neither does its removal.
type meshConfigReader struct {
	log *slog.Logger

	mu                sync.Mutex
	last              *meshv1alpha1.MeshConfig
	mtls              mesh.MTLSMode
	trustClientTraces bool
}

func newMeshConfigReader(log *slog.Logger) *meshConfigReader {
	return &meshConfigReader{log: log, last: &meshv1alpha1.MeshConfig{}}
}

func (r *meshConfigReader) set(object any) {
	m, ok := object.(*corev1.ConfigMap)
	if !ok {
		return
	}
	config, invalid := parseMeshConfig(m.Data[meshConfigKey])
	mode, unknown := parseMode(m.Data[mtlsModeKey])
	if err := errors.Join(invalid, unknown); err != nil {
		r.log.Error("mesh configuration is invalid, what was good last stays", "configmap", m.Name, "error", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if invalid == nil {
		r.last = config
	}
	if unknown == nil {
		r.mtls = mode
	}
	r.trustClientTraces = m.Data[trustClientTracesKey] == "true"
}

func (r *meshConfigReader) remove(any) {}

func (r *meshConfigReader) fill(in *mesh.Inputs) {
	r.mu.Lock()
	in.MeshConfig, in.MTLS, in.TrustClientTraces = r.last, r.mtls, r.trustClientTraces
	r.mu.Unlock()
}

func parseMode(text string) (mesh.MTLSMode, error) {
	mode := mesh.MTLSMode(text)
	if !slices.Contains(modes, mode) {
		return "", fmt.Errorf("parse %s: %q is none of %v", mtlsModeKey, text, modes)
	}
	return mode, nil
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
	if err := errors.Join(mesh.CheckTracing(config), mesh.CheckAccessLogs(config)); err != nil {
		return nil, fmt.Errorf("parse mesh configuration: %w", err)
	}
	return config, nil
}
