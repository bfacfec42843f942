// Package v1alpha1 is the Installation resource: one object that describes a whole service mesh. It keeps every field of
// the historic istio.openshift.com/v1alpha1 Installation with its meaning and adds those that today's components obey.
//
// The package imports nothing of this repository. Defaults are not here either: a default stored with the object would
// freeze what a later version of the operator wants to change, and break the fields whose mere presence means something.
//
// +kubebuilder:object:generate=true
// +groupName=istio.openshift.com
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the group and version of this package.
var GroupVersion = schema.GroupVersion{Group: "istio.openshift.com", Version: "v1alpha1"}

// AddToScheme registers the kinds of this package.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &Installation{}, &InstallationList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
