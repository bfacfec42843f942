package installation

import (
	"regexp"
	"strings"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/internal/version"
)

// Images names the two images of the mesh.
type Images struct {
	Operator string // the roles of the control plane
	Proxy    string // Envoy and its agent: sidecars and gateways
}

// ImageDefaults is what an Installation that says nothing gets.
type ImageDefaults struct {
	// BuiltIn are the images of this version (RELATED_IMAGE_MESH_OPERATOR, RELATED_IMAGE_PROXYV2).
	BuiltIn Images
	// Registry is the operator's --image-registry; empty: none.
	Registry string
}

const (
	operatorImage = "mesh-operator"
	proxyImage    = "proxyv2"
)

// historicPrefixes are the places where the tech preview's images were. They named sixteen images, none of which exists any
// more, so they are no mirror of ours.
var historicPrefixes = []string{
	"maistra/", "docker.io/maistra/", "quay.io/maistra/",
	"openshift-istio-tech-preview/", "registry.access.redhat.com/openshift-istio-tech-preview/",
	"registry.redhat.io/openshift-istio-tech-preview/",
	"distributed-tracing-tech-preview/", "registry.access.redhat.com/distributed-tracing-tech-preview/",
	"istio/", "docker.io/istio/",
}

// historicVersion matches the tags of the tech preview, 0.1.0 to 0.12.0.
var historicVersion = regexp.MustCompile(`^v?0\.([0-9]|1[0-2])(\.[0-9]+)?$`)

// chooseImages applies the order of precedence: spec.istio's prefix and version, then spec.images.registry, then the
// operator's flag, then what is built in. What names software that no longer exists is passed over with a warning.
//
//	prefix    version   images
//	unset     unset     registry's or built in
//	unset     historic  registry's or built in, warning
//	unset     other     registry's or built in with that tag
//	historic  any       registry's or built in, warning
//	custom    unset     <prefix>, our version
//	custom    historic  <prefix>, our version
//	custom    other     <prefix>, that tag
//
// community: true is the row of a historic prefix.
func chooseImages(spec *v1alpha1.InstallationSpec, defaults ImageDefaults) (Images, []v1alpha1.Warning) {
	istio := spec.Istio
	if istio == nil {
		istio = &v1alpha1.IstioSpec{}
	}
	if istio.Community != nil && *istio.Community {
		return fallbackImages(spec, defaults), []v1alpha1.Warning{{
			Field: "spec.istio.community", Reason: "HistoricImages",
			Message: "true asks for images of Istio 1.1, which is not what this operator runs; it uses its own images; remove the field",
		}}
	}
	prefix := cleanPrefix(istio.Prefix)
	if isHistoricPrefix(prefix) {
		return fallbackImages(spec, defaults), []v1alpha1.Warning{{
			Field: "spec.istio.prefix", Reason: "HistoricImages",
			Message: "the images at " + istio.Prefix + " no longer exist; this operator uses its own; remove the field, or name a registry of yours",
		}}
	}
	return customImages(spec, defaults, prefix, istio.Version.String())
}

func customImages(spec *v1alpha1.InstallationSpec, defaults ImageDefaults, prefix, tag string) (Images, []v1alpha1.Warning) {
	historic := historicVersion.MatchString(tag) && tag != version.Version
	switch {
	case prefix == "" && historic:
		return fallbackImages(spec, defaults), []v1alpha1.Warning{{
			Field: "spec.istio.version", Reason: "HistoricImages",
			Message: "images of version " + tag + " no longer exist; this operator uses its own; remove the field",
		}}
	case prefix == "" && tag == "":
		return fallbackImages(spec, defaults), nil
	case prefix == "":
		images := fallbackImages(spec, defaults)
		return Images{Operator: retag(images.Operator, tag), Proxy: retag(images.Proxy, tag)}, nil
	case historic || tag == "":
		tag = version.Version
	}
	return Images{Operator: prefix + operatorImage + ":" + tag, Proxy: prefix + proxyImage + ":" + tag}, nil
}

// fallbackImages are the images of an Installation that names none in spec.istio.
func fallbackImages(spec *v1alpha1.InstallationSpec, defaults ImageDefaults) Images {
	registry := defaults.Registry
	if spec.Images != nil && spec.Images.Registry != "" {
		registry = spec.Images.Registry
	}
	if registry == "" {
		return defaults.BuiltIn
	}
	prefix := strings.TrimSuffix(registry, "/") + "/"
	return Images{Operator: prefix + operatorImage + ":" + version.Version, Proxy: prefix + proxyImage + ":" + version.Version}
}

// cleanPrefix keeps the historic meaning of a prefix: "team" and "registry/team" are folders, "registry/team/my-" is the
// beginning of a name.
func cleanPrefix(prefix string) string {
	if prefix == "" || strings.HasSuffix(prefix, "/") || strings.Count(prefix, "/") >= 2 {
		return prefix
	}
	return prefix + "/"
}

func isHistoricPrefix(prefix string) bool {
	for _, historic := range historicPrefixes {
		if prefix == historic {
			return true
		}
	}
	return false
}

// retag replaces the tag or digest of an image; a colon before the last slash belongs to the registry's port.
func retag(image, tag string) string {
	image, _, _ = strings.Cut(image, "@")
	if colon := strings.LastIndex(image, ":"); colon > strings.LastIndex(image, "/") {
		image = image[:colon]
	}
	return image + ":" + tag
}
