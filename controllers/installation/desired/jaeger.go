package desired

import (
	"fmt"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// The types of spec.jaeger.storage.
const (
	storageMemory        = "Memory"
	storageBadger        = "Badger"
	storageElasticsearch = "Elasticsearch"
)

// The workloads of Jaeger. In memory and with Badger one process has all of its roles.
const (
	jaegerAll       = "jaeger"
	jaegerCollector = "jaeger-collector"
	jaegerQuery     = "jaeger-query"
	jaegerAgent     = "jaeger-agent"
)

const (
	// maxTraces is how many traces Jaeger keeps in memory; the oldest go first. A trace of Bookinfo has eight spans and takes about
	// 20 KiB.
	maxTraces = 10000

	defaultTraceDays = 7
)

func jaegerSection(spec *v1alpha1.InstallationSpec) *v1alpha1.ComponentSpec {
	if spec.Jaeger == nil {
		return nil
	}
	return &spec.Jaeger.ComponentSpec
}

// jaegerEnabled is the historic rule: an Installation without the section gets Jaeger, with Elasticsearch.
func jaegerEnabled(spec *v1alpha1.InstallationSpec) bool {
	j := spec.Jaeger
	return j == nil || j.External == nil && !isFalse(j.Enabled)
}

// splitJaeger says that Jaeger's roles have workloads of their own, which share Elasticsearch.
func splitJaeger(spec *v1alpha1.InstallationSpec) bool {
	return jaegerEnabled(spec) && jaegerStorage(spec).Type == storageElasticsearch
}

// jaegerStorage returns the storage with its defaults; the historic section has none.
func jaegerStorage(spec *v1alpha1.InstallationSpec) v1alpha1.JaegerStorageSpec {
	var storage v1alpha1.JaegerStorageSpec
	if spec.Jaeger != nil && spec.Jaeger.Storage != nil {
		storage = *spec.Jaeger.Storage
	}
	if storage.Type == "" {
		storage.Type = storageElasticsearch
	}
	if storage.RetentionDays == nil {
		days := int32(defaultTraceDays)
		storage.RetentionDays = &days
	}
	return storage
}

func isFalse(b *bool) bool { return b != nil && !*b }

// jaegerWorkload: the component jaeger is the process that proxies report spans to.
func jaegerWorkload(spec *v1alpha1.InstallationSpec) string {
	if splitJaeger(spec) {
		return jaegerCollector
	}
	return jaegerAll
}

func jaegerValues(in Input) (map[string]any, error) {
	return jaegerRole(in, jaegerWorkload(in.Spec)), nil
}

func jaegerQueryValues(in Input) (map[string]any, error) { return jaegerRole(in, jaegerQuery), nil }

func jaegerAgentValues(in Input) (map[string]any, error) { return jaegerRole(in, jaegerAgent), nil }

// jaegerRole are the values of one workload of Jaeger.
func jaegerRole(in Input, workload string) map[string]any {
	storage := jaegerStorage(in.Spec)
	values := map[string]any{
		"workload": workload, "storage": storage.Type, "maxTraces": maxTraces, "retentionDays": *storage.RetentionDays,
		"volume": volumeValues(storage.Volume), "external": nil, "tunnelImage": in.Images[ProxyImage],
	}
	if e := externalElasticsearch(in.Spec); e != nil {
		secret := ""
		if e.SecretRef != nil {
			secret = e.SecretRef.Name
		}
		values["external"] = map[string]any{"url": e.URL, "secret": secret}
	}
	return values
}

// jaegerCollectorURL is the address that proxies report spans to, by provider.
func jaegerCollectorURL(provider string) string {
	if provider == providerOTLP {
		return "http://jaeger-collector." + owner.MeshNamespace + ".svc.cluster.local:4317"
	}
	return "http://zipkin." + owner.MeshNamespace + ".svc.cluster.local:9411"
}

// invalidJaeger repeats the rules of the schema, for an Installation that is older than they are.
func invalidJaeger(spec *v1alpha1.InstallationSpec) []string {
	j := spec.Jaeger
	if j == nil {
		return nil
	}
	var problems []string
	storage := jaegerStorage(spec)
	if storage.Type != storageElasticsearch {
		const one = "with this storage every Jaeger keeps traces of its own, so there can be one at most"
		if j.Replicas != nil && *j.Replicas > 1 {
			problems = append(problems, fmt.Sprintf("spec.jaeger.replicas: %d, but %s; write 0 or 1, or remove the field", *j.Replicas, one))
		}
		if j.Autoscaling != nil {
			problems = append(problems, "spec.jaeger.autoscaling: "+one+"; remove the field")
		}
	}
	if j.Storage != nil && j.External != nil {
		problems = append(problems, "spec.jaeger.storage: external names a tracing system that somebody else runs; remove one of storage and external")
	}
	if storage.Type == storageBadger && storage.Volume == nil {
		problems = append(problems, "spec.jaeger.storage.volume: Badger keeps traces on a volume; write volume: {size: 10Gi}, or type: Memory")
	}
	return append(problems, invalidElasticsearch(spec)...)
}
