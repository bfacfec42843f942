package desired

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/internal/owner"
	"github.com/mesh-operator/mesh-operator/internal/spiffe"
)

// leastElasticsearchMemory is what it needs to start; below, the kernel ends it while it does.
var leastElasticsearchMemory = resource.MustParse("512Mi")

func elasticsearchSpec(spec *v1alpha1.InstallationSpec) *v1alpha1.ElasticsearchSpec {
	return jaegerStorage(spec).Elasticsearch
}

func elasticsearchSection(spec *v1alpha1.InstallationSpec) *v1alpha1.ComponentSpec {
	if e := elasticsearchSpec(spec); e != nil {
		return &e.ComponentSpec
	}
	return nil
}

func externalElasticsearch(spec *v1alpha1.InstallationSpec) *v1alpha1.ElasticsearchExternalSpec {
	if e := elasticsearchSpec(spec); e != nil {
		return e.External
	}
	return nil
}

// ownElasticsearch says that Jaeger's storage is installed with it. It cannot be left out alone: without a storage Jaeger does not
// start.
func ownElasticsearch(spec *v1alpha1.InstallationSpec) bool {
	return splitJaeger(spec) && externalElasticsearch(spec) == nil
}

// elasticsearchValues: elasticsearch_memory is request and limit, as it was in the historic product, unless resources are given;
// half of the limit is the heap, because Lucene needs the rest for files.
func elasticsearchValues(in Input) (map[string]any, error) {
	memory, err := elasticsearchMemory(in.Spec)
	if err != nil {
		return nil, err
	}
	clients, err := elasticsearchClients()
	if err != nil {
		return nil, err
	}
	values := map[string]any{
		"clients": clients, "heapMegabytes": memory.Value() / 2 >> 20, "tunnelImage": in.Images[ProxyImage], "cleanerImage": in.Images[IndexCleanerImage],
		"volume": volumeValues(jaegerStorage(in.Spec).Volume), "retentionDays": *jaegerStorage(in.Spec).RetentionDays,
	}
	if section := elasticsearchSection(in.Spec); section == nil || section.Resources == nil {
		values["resources"] = map[string]any{
			"requests": map[string]any{"cpu": "100m", "memory": memory.String()},
			"limits":   map[string]any{"memory": memory.String()},
		}
	}
	return values, nil
}

// elasticsearchClients are the identities that the tunnel lets in.
func elasticsearchClients() ([]any, error) {
	var clients []any
	for _, account := range []string{jaegerCollector, jaegerQuery, "elasticsearch-cleaner"} {
		id, err := spiffe.New(trustDomain, owner.MeshNamespace, account)
		if err != nil {
			return nil, fmt.Errorf("name client of elasticsearch: %w", err)
		}
		clients = append(clients, id.String())
	}
	return clients, nil
}

func elasticsearchMemory(spec *v1alpha1.InstallationSpec) (resource.Quantity, error) {
	if section := elasticsearchSection(spec); section != nil && section.Resources != nil {
		if limit, found := section.Resources.Limits["memory"]; found {
			return limit, nil
		}
		if request, found := section.Resources.Requests["memory"]; found {
			return request, nil
		}
	}
	text := ""
	if spec.Jaeger != nil {
		text = spec.Jaeger.ElasticsearchMemory.String()
	}
	if text == "" {
		text = "1Gi"
	}
	return parseMemory(text)
}

// parseMemory reads a Kubernetes quantity, or what people write for one: 1000MB, 1 GB.
func parseMemory(text string) (resource.Quantity, error) {
	text = strings.TrimRight(strings.ReplaceAll(text, " ", ""), "Bb")
	if strings.HasSuffix(text, "K") {
		text = strings.TrimSuffix(text, "K") + "k"
	}
	q, err := resource.ParseQuantity(text)
	if err != nil {
		return q, fmt.Errorf("parse amount of memory: %w", err)
	}
	return q, nil
}

func invalidElasticsearch(spec *v1alpha1.InstallationSpec) []string {
	var problems []string
	e := elasticsearchSpec(spec)
	if e != nil && e.Replicas != nil && *e.Replicas > 1 {
		problems = append(problems, fmt.Sprintf("spec.jaeger.storage.elasticsearch.replicas: %d, but this is one server, not a cluster of them; write 0 or 1, or name a cluster of yours in external", *e.Replicas))
	}
	if e != nil && isFalse(e.Enabled) {
		problems = append(problems, "spec.jaeger.storage.elasticsearch.enabled: false leaves Jaeger without its storage; write spec.jaeger.enabled: false, another storage.type, or external")
	}
	if memory, err := elasticsearchMemory(spec); err == nil && memory.Sign() > 0 && memory.Cmp(leastElasticsearchMemory) < 0 {
		problems = append(problems, fmt.Sprintf("spec.jaeger.elasticsearch_memory: %s is less than 512Mi, which Elasticsearch needs to start; write 512Mi or more", memory.String()))
	}
	return problems
}

// volumeValues are the chart's values of a claim; nil: none.
func volumeValues(v *v1alpha1.VolumeSpec) any {
	if v == nil {
		return nil
	}
	size := volumeSize(v)
	return map[string]any{"size": size.String(), "storageClassName": v.StorageClassName}
}
