package v1alpha1

import "k8s.io/apimachinery/pkg/api/resource"

// PrometheusSpec configures the Prometheus of the mesh, which is installed unless enabled is false.
//
// +kubebuilder:validation:XValidation:rule="!has(self.replicas) || self.replicas <= 1",message="replicas: every Prometheus collects metrics of its own, so there can be one at most; write 0 or 1, or remove the field"
// +kubebuilder:validation:XValidation:rule="!has(self.autoscaling)",message="autoscaling: every Prometheus collects metrics of its own, so there can be one at most; remove the field"
type PrometheusSpec struct {
	ComponentSpec `json:",inline"`
	// retention is how long metrics are kept, such as 6h, 15d or 8w. The oldest go earlier when they fill 80 % of the volume.
	// Unset: 15d with a volume and 6h without.
	// +kubebuilder:validation:MaxLength=8
	// +kubebuilder:validation:XValidation:rule="self.matches('^[1-9][0-9]{0,4}[hdwy]$')",message="no time such as 6h, 15d or 8w; write a number and h, d, w or y"
	// +optional
	Retention string `json:"retention,omitempty"`
	// volume keeps metrics when the pod is replaced, in the PersistentVolumeClaim prometheus. Removing the section, or the
	// Installation, leaves the claim behind, unless spec.uninstall.data is Delete. Unset: none; a new pod starts without metrics.
	// +optional
	Volume *VolumeSpec `json:"volume,omitempty"`
}

// VolumeSpec asks for a PersistentVolumeClaim.
type VolumeSpec struct {
	// size of the volume, such as 10Gi. It can grow later where the storage class allows that, and never shrink. Unset: 10Gi.
	// +kubebuilder:validation:XValidation:rule="isQuantity(string(self)) && quantity(string(self)).compareTo(quantity('1Gi')) >= 0",message="no amount of storage of 1Gi or more; write a number and a unit, such as 10Gi"
	// +optional
	Size *resource.Quantity `json:"size,omitempty"`
	// storageClassName names the StorageClass that makes the volume. It cannot be changed later:
	// remove the section, delete the claim and its data, and write the section again. Unset: the cluster's default class.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	StorageClassName string `json:"storageClassName,omitempty"`
}
