package v1alpha1

// GatewaySpec is one edge proxy.
//
// +kubebuilder:validation:XValidation:rule="!has(self.service) || (has(self.service.type) ? self.service.type != 'ClusterIP' : has(self.type) ? self.type != 'Egress' : self.name != 'istio-egressgateway') || !has(self.service.ports) || self.service.ports.all(p, !has(p.nodePort))",message="a Service of type ClusterIP has no node ports; remove nodePort, or set service.type to NodePort or LoadBalancer",fieldPath=".service.ports"
// +kubebuilder:validation:XValidation:rule="!has(self.service) || (has(self.service.type) ? self.service.type != 'ClusterIP' : has(self.type) ? self.type != 'Egress' : self.name != 'istio-egressgateway') || !has(self.service.externalTrafficPolicy)",message="a Service of type ClusterIP has no externalTrafficPolicy; remove it, or set service.type to NodePort or LoadBalancer",fieldPath=".service.externalTrafficPolicy"
type GatewaySpec struct {
	// name of the gateway's Deployment and Service in istio-system. istio-ingressgateway and istio-egressgateway change the
	// two that are there anyway; the names of the control plane's components are refused.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",message="no name of a gateway; write lower case letters, digits and -, beginning with a letter, such as partner-gateway"
	Name string `json:"name"`
	// type is Ingress (traffic into the mesh; its Service is a LoadBalancer) or Egress (traffic out of it; its Service is a
	// ClusterIP). Unset: Ingress, but Egress for istio-egressgateway.
	// +kubebuilder:validation:Enum=Ingress;Egress
	// +optional
	Type          string `json:"type,omitempty"`
	ComponentSpec `json:",inline"`
	// labels are put on the gateway's pods, where the selector of an Istio Gateway finds them. Unset: istio: ingressgateway
	// for istio-ingressgateway, istio: egressgateway for istio-egressgateway, istio: <name> for others (without "istio-" at
	// its beginning); other labels are added to it. app, istio.io/rev and those of ownership can't be changed.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// service is how the gateway is reached; status.endpoints lists the addresses of ingress gateways.
	// +optional
	Service *GatewayServiceSpec `json:"service,omitempty"`
}

// GatewayServiceSpec is the Service in front of a gateway.
type GatewayServiceSpec struct {
	// type of the Service. Unset: LoadBalancer for Ingress, ClusterIP for Egress.
	// +kubebuilder:validation:Enum=ClusterIP;NodePort;LoadBalancer
	// +optional
	Type string `json:"type,omitempty"`
	// annotations of the Service, where cloud providers look for the settings of a load balancer.
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
	// loadBalancerClass chooses the implementation of the load balancer. Kubernetes lets nobody change it while the Service is
	// a LoadBalancer: delete the Service, and the operator makes it again. Unset: the cluster's default.
	// +optional
	LoadBalancerClass string `json:"loadBalancerClass,omitempty"`
	// externalTrafficPolicy Local keeps the client's address and avoids a second hop, but only nodes that run the gateway
	// answer. It has no meaning for a ClusterIP. Unset: Cluster.
	// +kubebuilder:validation:Enum=Cluster;Local
	// +optional
	ExternalTrafficPolicy string `json:"externalTrafficPolicy,omitempty"`
	// ports are added to the default ports: http 80, https 443, status-port 15021 and, for Ingress, tcp 31400. One of the same
	// name or number replaces the default.
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	// +optional
	Ports []GatewayPort `json:"ports,omitempty"`
}

// GatewayPort is one port of a gateway's Service.
type GatewayPort struct {
	// name of the port; its beginning names the protocol: http-*, https-*, tcp-*, grpc-*, tls-*.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="no name of a port; write lower case letters, digits and -, such as http-partner"
	Name string `json:"name"`
	// port that clients connect to.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port"`
	// targetPort that the proxy listens on. It can't below 1024, and 15000 to 15099 are its own. Unset: port, plus 8000 when
	// that is below 1024.
	// +kubebuilder:validation:Minimum=1024
	// +kubebuilder:validation:Maximum=65535
	// +optional
	TargetPort int32 `json:"targetPort,omitempty"`
	// nodePort that every node listens on, within the cluster's range (usually 30000 to 32767); not for a ClusterIP. Unset:
	// chosen by the cluster, except for the default ports of istio-ingressgateway: http 31380, https 31390, tcp 31400.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +optional
	NodePort int32 `json:"nodePort,omitempty"`
}
