package desired

import (
	"strings"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
)

// Names of images of other projects.
const (
	PrometheusImage    = "prometheus"
	JaegerImage        = "jaeger"
	ElasticsearchImage = "elasticsearch" // OpenSearch, which speaks Elasticsearch's API and is free software
	IndexCleanerImage  = "jaeger-es-index-cleaner"
	GrafanaImage       = "grafana"
)

// addonImages are images of other projects, which the image of their component's section chooses (spec.prometheus.image), with the
// variable of the operator's environment that names the built-in one. That is the project's own image, by the tag it was tried
// with.
var addonImages = []struct{ name, variable, official string }{
	{PrometheusImage, "RELATED_IMAGE_PROMETHEUS", "docker.io/prom/prometheus:v2.55.1"},
	{JaegerImage, "RELATED_IMAGE_JAEGER", "docker.io/jaegertracing/jaeger:2.13.0"},
	{ElasticsearchImage, "RELATED_IMAGE_ELASTICSEARCH", "docker.io/opensearchproject/opensearch:2.19.1"},
	{IndexCleanerImage, "RELATED_IMAGE_JAEGER_ES_INDEX_CLEANER", "docker.io/jaegertracing/jaeger-es-index-cleaner:2.13.0"},
	{GrafanaImage, "RELATED_IMAGE_GRAFANA", "docker.io/grafana/grafana:13.2.3"},
}

// chooseAddonImages returns the built-in images or, where a registry is chosen, their last name and tag in that registry: a
// mirror holds all images of an Installation in one folder.
func chooseAddonImages(spec *v1alpha1.InstallationSpec, defaults ImageDefaults) Images {
	registry := chosenRegistry(spec, defaults)
	out := Images{}
	for _, image := range addonImages {
		reference := defaults.BuiltIn[image.name]
		if registry != "" {
			reference = registryPrefix(registry) + reference[strings.LastIndex(reference, "/")+1:]
		}
		out[image.name] = reference
	}
	return out
}
