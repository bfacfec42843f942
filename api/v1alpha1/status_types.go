package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Condition types of an Installation.
const (
	// ConditionReady is True when the mesh that spec asks for can be used.
	ConditionReady = "Ready"
	// ConditionReconciled is True when the cluster holds every object that spec asks for.
	ConditionReconciled = "Reconciled"
	// ConditionSpecSupported is False when spec asks for something this version cannot do.
	ConditionSpecSupported = "SpecSupported"
	// ConditionNoConflicts is False when something in the cluster stands in the way.
	ConditionNoConflicts = "NoConflicts"
	// ConditionCertificatesHealthy is False when the root of trust is missing, expired or about to expire, or was replaced and a
	// running proxy does not have the new one yet.
	ConditionCertificatesHealthy = "CertificatesHealthy"
)

// ComponentState is how a component does.
type ComponentState string

// States of a component.
const (
	StateReady       ComponentState = "Ready"
	StateProgressing ComponentState = "Progressing"
	StateDegraded    ComponentState = "Degraded"
	StateDisabled    ComponentState = "Disabled"
	StateExternal    ComponentState = "External"
	StateUnsupported ComponentState = "Unsupported"
)

// InstallationStatus is what the operator found and did.
type InstallationStatus struct {
	// observedGeneration is the metadata.generation that this status is about; while it is lower than that one, the operator
	// has not seen the last change of spec.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// conditions sum up. Ready: the mesh that spec asks for can be used. Reconciled: the cluster holds every object of it.
	// SpecSupported: this version does all that spec asks for. NoConflicts: nothing of others stands in the way.
	// CertificatesHealthy: a root of trust is there, running proxies have it, and it will not expire within 30 days. The message
	// says what to do.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// version says which version of the control plane runs, and which one will.
	// +optional
	Version *VersionStatus `json:"version,omitempty"`
	// components says how each component does.
	// +listType=map
	// +listMapKey=name
	// +optional
	Components []ComponentStatus `json:"components,omitempty"`
	// certificates lists the roots of trust that the certificates of the mesh are checked against, as citadel published them last.
	// +listType=atomic
	// +optional
	Certificates []CertificateStatus `json:"certificates,omitempty"`
	// dataPlane counts the proxies of the mesh. It follows within about a minute, and is absent until the operator has asked
	// pilot and while it can't: no pilot is ready, or a NetworkPolicy keeps the operator from pilot's port 15014.
	// +optional
	DataPlane *DataPlaneStatus `json:"dataPlane,omitempty"`
	// endpoints lists the addresses under which users reach the mesh: one for every http and https port of every ingress
	// gateway at the address of its load balancer; while there is none, at a node that runs the gateway and the node port.
	// An address is listed whether or not an Istio Gateway serves anything there.
	// +listType=atomic
	// +optional
	Endpoints []Endpoint `json:"endpoints,omitempty"`
	// images lists the images in use, for whoever mirrors them: as repository@sha256:digest where running pods report the
	// digest, which a moved tag cannot change, else by tag.
	// +listType=atomic
	// +optional
	Images []string `json:"images,omitempty"`
	// warnings lists fields of spec that are accepted, but do not work as one may think.
	// +listType=atomic
	// +optional
	Warnings []Warning `json:"warnings,omitempty"`
	// removal says how far the removal is, while the Installation is being deleted. Condition Ready sums it up and names the
	// pods that still run a sidecar, which do not hold it up.
	// +optional
	Removal *RemovalStatus `json:"removal,omitempty"`
}

// VersionStatus says which version runs.
type VersionStatus struct {
	// operator is the version of the operator.
	// +optional
	Operator string `json:"operator,omitempty"`
	// desired is the version of the control plane that the operator is installing.
	// +optional
	Desired string `json:"desired,omitempty"`
	// current is the version of the control plane that last was complete.
	// +optional
	Current string `json:"current,omitempty"`
}

// ComponentStatus says how one component does.
type ComponentStatus struct {
	// name of the component or gateway.
	Name string `json:"name"`
	// state is Ready, Progressing (its pods are being replaced), Degraded (something keeps them from running), Disabled
	// (enabled is false), External (somebody else runs it) or Unsupported (this version can't install it).
	State ComponentState `json:"state"`
	// reason is one word for machines.
	// +optional
	Reason string `json:"reason,omitempty"`
	// message is one sentence for people.
	// +optional
	Message string `json:"message,omitempty"`
	// desired is the number of pods that its Deployment asks for.
	// +optional
	Desired int32 `json:"desired,omitempty"`
	// ready is the number of pods that are ready.
	// +optional
	Ready int32 `json:"ready,omitempty"`
	// image that the component runs.
	// +optional
	Image string `json:"image,omitempty"`
}

// CertificateStatus is one root of trust.
type CertificateStatus struct {
	// name is the subject of the certificate.
	Name string `json:"name"`
	// notAfter is when it expires. From 30 days before, condition CertificatesHealthy is False.
	NotAfter metav1.Time `json:"notAfter"`
	// fingerprint is the SHA-256 of the certificate, in hexadecimal: openssl x509 -noout -fingerprint -sha256.
	Fingerprint string `json:"fingerprint"`
}

// DataPlaneStatus counts the proxies of the mesh, as the pilots know them.
type DataPlaneStatus struct {
	// proxies is the number of running pods that carry a sidecar or are a gateway.
	Proxies int32 `json:"proxies"`
	// outdated is the number of pods whose sidecar is another one than they would get now: another image, template or
	// setting. Restart their workloads (kubectl rollout restart) to update them. Gateways are updated by the operator.
	Outdated int32 `json:"outdated"`
	// notSynced is the number of proxies that run without the newest configuration: not connected to any pilot, or having
	// rejected a part of it, or not having accepted it for more than ten seconds. Pilot's log names what was rejected.
	NotSynced int32 `json:"notSynced"`
}

// Endpoint is an address under which users reach the mesh.
type Endpoint struct {
	// name of the ingress gateway.
	Name string `json:"name"`
	// url of one of its ports, such as http://203.0.113.7 or http://10.0.0.5:31380.
	URL string `json:"url"`
}

// Warning is about one field of spec.
type Warning struct {
	// field is the path of the field.
	Field string `json:"field"`
	// reason is one word for machines.
	Reason string `json:"reason"`
	// message is one sentence for people.
	Message string `json:"message"`
}

// RemovalStatus says how far the removal is.
type RemovalStatus struct {
	// stage is what is being removed, in this order: Webhooks, Workloads, RuntimeObjects (roots of trust, Istio's definitions),
	// Access (permissions), Namespace.
	Stage string `json:"stage"`
	// remaining is the number of things the stage still waits for.
	// +optional
	Remaining int32 `json:"remaining,omitempty"`
	// blockers names the first 20 of them.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	// +optional
	Blockers []Blocker `json:"blockers,omitempty"`
}

// Blocker is something the removal waits for.
type Blocker struct {
	// kind of the object.
	Kind string `json:"kind"`
	// namespace of the object.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// name of the object.
	Name string `json:"name"`
	// reason says why it is in the way and what to do.
	// +optional
	Reason string `json:"reason,omitempty"`
}
