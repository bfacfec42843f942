package desired

import (
	"fmt"
	"regexp"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
)

// invalidReferences checks the parts of image references, and amounts of memory.
func invalidReferences(spec *v1alpha1.InstallationSpec) []string {
	var problems []string
	add := func(field, value, wayOut string) {
		problems = append(problems, fmt.Sprintf("%s: %q %s", field, value, wayOut))
	}
	if i := spec.Istio; i != nil {
		if i.Prefix != "" && !isImage(cleanPrefix(i.Prefix)+ProxyImage+":1") {
			add("spec.istio.prefix", i.Prefix, "is no beginning of an image reference; write registry/folder, without spaces and without https://")
		}
		if tag := i.Version.String(); tag != "" && !isImage(ProxyImage+":"+tag) {
			add("spec.istio.version", tag, "is no image tag; write letters, digits, -, _ and . such as \"1.9.0\"")
		}
	}
	if i := spec.Images; i != nil && i.Registry != "" && !isImage(named(registryPrefix(i.Registry), "1")[ProxyImage]) {
		add("spec.images.registry", i.Registry, "is no beginning of an image reference; write registry/folder, without spaces and without https://")
	}
	if spec.Jaeger != nil {
		if memory := spec.Jaeger.ElasticsearchMemory.String(); memory != "" && !memoryAmount.MatchString(memory) {
			add("spec.jaeger.elasticsearch_memory", memory, "is no amount of memory; write a number and a unit, such as 1Gi or 1000MB")
		}
	}
	return problems
}

func isImage(reference string) bool {
	_, err := name.ParseReference(reference)
	return err == nil
}

// memoryAmount is a Kubernetes quantity of bytes, or what people write for one: 1000MB, 1 GB. The admission policy has the same
// expression.
var memoryAmount = regexp.MustCompile(`^[0-9]+([.][0-9]+)? ?([kKMGTPE]i?)?[Bb]?$`)
