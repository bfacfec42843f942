package desired

import (
	"cmp"
	"maps"
	"regexp"
	"strings"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/internal/version"
)

// Images are image references by the name of the image.
type Images map[string]string

// Names of images of this project.
const (
	OperatorImage = "mesh-operator" // the roles of the control plane
	ProxyImage    = "proxyv2"       // Envoy and its agent: sidecars and gateways
)

// ownImages are the images that spec.istio and spec.images choose, with the variable of the operator's environment that
// names the built-in one. Images of other projects are in addon_images.go.
var ownImages = []struct{ name, variable string }{
	{OperatorImage, "RELATED_IMAGE_MESH_OPERATOR"},
	{ProxyImage, "RELATED_IMAGE_PROXYV2"},
}

// BuiltInRegistry is the registry and folder of this project's images.
const BuiltInRegistry = "quay.io/mesh-operator/"

// BuiltInImages are the images of this version, or those that the environment names (RELATED_IMAGE_*), for mirrors.
func BuiltInImages(getenv func(string) string) Images {
	out := Images{}
	for _, image := range ownImages {
		out[image.name] = cmp.Or(getenv(image.variable), BuiltInRegistry+image.name+":"+version.Version)
	}
	for _, image := range addonImages {
		out[image.name] = cmp.Or(getenv(image.variable), image.official)
	}
	return out
}

// BuiltInImage is a row of the tables of images.
type BuiltInImage struct {
	Name      string
	Variable  string // of the operator's environment that names another one
	Reference string
}

// BuiltIn is both tables, with the images of this version.
func BuiltIn() []BuiltInImage {
	images := BuiltInImages(func(string) string { return "" })
	var out []BuiltInImage
	for _, image := range ownImages {
		out = append(out, BuiltInImage{image.name, image.variable, images[image.name]})
	}
	for _, image := range addonImages {
		out = append(out, BuiltInImage{image.name, image.variable, images[image.name]})
	}
	return out
}

// named returns every own image as prefix, name and tag.
func named(prefix, tag string) Images {
	out := Images{}
	for _, image := range ownImages {
		out[image.name] = prefix + image.name + ":" + tag
	}
	return out
}

// ImageDefaults are the images of an Installation that names none.
type ImageDefaults struct {
	// BuiltIn are the images of this version.
	BuiltIn Images
	// Registry is the operator's --image-registry; empty: none.
	Registry string
}

// historicPrefixes are the registries of the tech preview. They held sixteen images, none of which exists any more, so they
// are no mirror of ours.
var historicPrefixes = []string{
	"maistra/", "docker.io/maistra/", "quay.io/maistra/",
	"openshift-istio-tech-preview/", "registry.access.redhat.com/openshift-istio-tech-preview/",
	"registry.redhat.io/openshift-istio-tech-preview/",
	"distributed-tracing-tech-preview/", "registry.access.redhat.com/distributed-tracing-tech-preview/",
	"istio/", "docker.io/istio/",
}

// historicVersion matches the tags of the tech preview, 0.1.0 to 0.12.0.
var historicVersion = regexp.MustCompile(`^v?0\.([0-9]|1[0-2])(\.[0-9]+)?$`)

// ChooseImages applies the order of precedence: spec.istio's prefix and version, then spec.images.registry, then the
// operator's flag, then what is built in. An image that no longer exists is ignored with a warning.
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
// community: true is the row of a historic prefix. Images of add-ons follow spec.images.registry and the flag alone.
func ChooseImages(spec *v1alpha1.InstallationSpec, defaults ImageDefaults) (Images, []v1alpha1.Warning) {
	images := Images{}
	maps.Copy(images, defaults.BuiltIn) // a catalog may have components of its own
	own, warnings := chooseOwnImages(spec, defaults)
	maps.Copy(images, own)
	maps.Copy(images, chooseAddonImages(spec, defaults))
	return images, warnings
}

func chooseOwnImages(spec *v1alpha1.InstallationSpec, defaults ImageDefaults) (Images, []v1alpha1.Warning) {
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
		out := Images{}
		for name, image := range images {
			out[name] = retag(image, tag)
		}
		return out, nil
	case historic || tag == "":
		tag = version.Version
	}
	return named(prefix, tag), nil
}

// fallbackImages are the images of an Installation that names none in spec.istio.
func fallbackImages(spec *v1alpha1.InstallationSpec, defaults ImageDefaults) Images {
	if registry := chosenRegistry(spec, defaults); registry != "" {
		return named(registryPrefix(registry), version.Version)
	}
	out := Images{}
	for _, image := range ownImages {
		out[image.name] = defaults.BuiltIn[image.name]
	}
	return out
}

// chosenRegistry is the registry of the Installation, else of the operator's flag; empty: each image has its own.
func chosenRegistry(spec *v1alpha1.InstallationSpec, defaults ImageDefaults) string {
	if spec.Images != nil && spec.Images.Registry != "" {
		return spec.Images.Registry
	}
	return defaults.Registry
}

func registryPrefix(registry string) string { return strings.TrimSuffix(registry, "/") + "/" }

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
