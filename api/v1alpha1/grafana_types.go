package v1alpha1

import corev1 "k8s.io/api/core/v1"

// GrafanaSpec configures the Grafana of the mesh, which is installed with Prometheus unless enabled is false.
//
// +kubebuilder:validation:XValidation:rule="!has(self.replicas) || self.replicas <= 1",message="replicas: every Grafana keeps sessions and changes of its own, so there can be one at most; write 0 or 1, or remove the field"
// +kubebuilder:validation:XValidation:rule="!has(self.autoscaling)",message="autoscaling: every Grafana keeps sessions and changes of its own, so there can be one at most; remove the field"
// +kubebuilder:validation:XValidation:rule="!has(self.external) || !has(self.credentialsSecretRef) && !has(self.anonymous) && (!has(self.enabled) || !self.enabled)",message="external: names a Grafana that somebody else runs; remove external, or enabled, credentialsSecretRef and anonymous, which are about the mesh's own"
type GrafanaSpec struct {
	ComponentSpec `json:",inline"`
	// credentialsSecretRef names a Secret in istio-system with the keys username and password of Grafana's administrator, which
	// Grafana reads when it starts. Unset: the Secret grafana, which the operator creates with a random password and keeps.
	// +optional
	CredentialsSecretRef *corev1.LocalObjectReference `json:"credentialsSecretRef,omitempty"`
	// anonymous lets everybody who reaches Grafana look at the dashboards, and so at every metric of the mesh, without a login.
	// Unset: false.
	// +optional
	Anonymous *bool `json:"anonymous,omitempty"`
	// external is a Grafana that somebody else runs. None is installed; the dashboards are in the ConfigMap
	// istio-grafana-dashboards of istio-system, with the label grafana_dashboard: "1".
	// +optional
	External *GrafanaExternalSpec `json:"external,omitempty"`
}

// GrafanaExternalSpec is a Grafana that somebody else runs.
type GrafanaExternalSpec struct {
	// url is its address, such as https://grafana.example.com, which status.endpoints shows.
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[-A-Za-z0-9.:]+(/[-A-Za-z0-9._~/]*)?$')",message="no address of a page; write https://host, with a port and a path if it has them"
	URL string `json:"url"`
}
