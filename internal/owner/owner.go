// Package owner is the vocabulary of ownership: the labels and annotations that every object created by the product
// carries, at install time and at run time alike. Removal, drift detection and the refusal to touch foreign objects all
// rest on them, so they are spelled in this one place.
package owner

import (
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// LabelManagedBy marks an object as ours; its value is ManagedBy.
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// ManagedBy is the value of LabelManagedBy on everything of ours.
	ManagedBy = "mesh-operator"
	// LabelInstallation names the Installation that an object belongs to.
	LabelInstallation = "istio.openshift.com/installation"
	// LabelComponent names the component of status.components that an object belongs to.
	LabelComponent = "istio.openshift.com/component"
	// LabelRevision names the control plane that an object belongs to.
	LabelRevision = "istio.io/rev"
	// AnnotationKept marks what a removal left behind although we made it: the mesh's namespace when others have objects in
	// it, and the root of trust while sidecars run on it. It carries no label of ours any more, so that it is nobody's; an
	// Installation that comes later takes it back. The value is the object's UID: a copy of it is not ours.
	AnnotationKept = "istio.openshift.com/kept"

	// AnnotationKeptComponent is beside AnnotationKept: the component that the object belonged to.
	AnnotationKeptComponent = "istio.openshift.com/kept-component"

	// AnnotationGenerate is on a Secret of a component: the keys, separated by commas, that get a random value when the Secret is
	// created and keep it.
	AnnotationGenerate = "istio.openshift.com/generate"

	// Installation is the only name an Installation may have.
	Installation = "istio-installation"
	// OperatorNamespace is where the operator and the Installation live.
	OperatorNamespace = "istio-operator"
	// MeshNamespace is where the control plane lives.
	MeshNamespace = "istio-system"
	// DefaultRevision is the revision whose objects keep the historic names.
	DefaultRevision = "default"
)

// Labels returns the owner labels of an object of component, in a new map.
func Labels(component string) map[string]string {
	return map[string]string{
		LabelManagedBy:    ManagedBy,
		LabelInstallation: Installation,
		LabelComponent:    component,
		LabelRevision:     DefaultRevision,
	}
}

// Label returns a copy of labels with the owner labels of component added.
func Label(labels map[string]string, component string) map[string]string {
	out := maps.Clone(labels)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, Labels(component))
	return out
}

// Owned reports whether an object with these labels is ours.
func Owned(labels map[string]string) bool {
	return labels[LabelManagedBy] == ManagedBy && labels[LabelInstallation] == Installation
}

// Kept reports whether an object was left behind by a removal.
func Kept(object metav1.Object) bool {
	return object.GetUID() != "" && object.GetAnnotations()[AnnotationKept] == string(object.GetUID())
}
