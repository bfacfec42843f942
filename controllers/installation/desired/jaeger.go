package desired

import (
	"fmt"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// storageMemory is the type of spec.jaeger.storage that keeps traces in Jaeger's own memory.
const storageMemory = "Memory"

// maxTraces is how many traces Jaeger keeps in memory; the oldest go first. A trace of Bookinfo has eight spans and takes about
// 20 KiB.
const maxTraces = 10000

func jaegerSection(spec *v1alpha1.InstallationSpec) *v1alpha1.ComponentSpec {
	if spec.Jaeger == nil {
		return nil
	}
	return &spec.Jaeger.ComponentSpec
}

// jaegerEnabled: the historic section without a storage asks for Elasticsearch, which is not implemented (UnsupportedParts).
func jaegerEnabled(spec *v1alpha1.InstallationSpec) bool {
	j := spec.Jaeger
	return j != nil && j.External == nil && j.Storage != nil && j.Storage.Type == storageMemory && !isFalse(j.Enabled)
}

func isFalse(b *bool) bool { return b != nil && !*b }

func jaegerValues(Input) (map[string]any, error) {
	return map[string]any{"maxTraces": maxTraces}, nil
}

// jaegerCollector is the address that proxies report spans to, by provider.
func jaegerCollector(provider string) string {
	if provider == providerOTLP {
		return "http://jaeger-collector." + owner.MeshNamespace + ".svc.cluster.local:4317"
	}
	return "http://zipkin." + owner.MeshNamespace + ".svc.cluster.local:9411"
}

// invalidJaeger repeats the rules of the schema, for an Installation that is older than they are.
func invalidJaeger(j *v1alpha1.JaegerSpec) []string {
	if j == nil {
		return nil
	}
	var problems []string
	const one = "every Jaeger keeps traces of its own in memory, so there can be one at most"
	if j.Replicas != nil && *j.Replicas > 1 {
		problems = append(problems, fmt.Sprintf("spec.jaeger.replicas: %d, but %s; write 0 or 1, or remove the field", *j.Replicas, one))
	}
	if j.Autoscaling != nil {
		problems = append(problems, "spec.jaeger.autoscaling: "+one+"; remove the field")
	}
	if j.Storage != nil && j.External != nil {
		problems = append(problems, "spec.jaeger.storage: external names a tracing system that somebody else runs; remove one of storage and external")
	}
	return problems
}
