package v1alpha1

// GatewaySpec is one edge proxy.
type GatewaySpec struct {
	// name of the gateway's Deployment and Service in istio-system. istio-ingressgateway and istio-egressgateway change the
	// two that are always there.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:Pattern=`^[a-z]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`
	// type is Ingress (traffic into the mesh; its Service is a LoadBalancer) or Egress (traffic out of it; its Service is a
	// ClusterIP). Unset: Ingress, but Egress for istio-egressgateway.
	// +kubebuilder:validation:Enum=Ingress;Egress
	// +optional
	Type          string `json:"type,omitempty"`
	ComponentSpec `json:",inline"`
	// labels are put on the gateway's pods, where the selector of an Istio Gateway finds them. Unset: istio: ingressgateway
	// for istio-ingressgateway, istio: egressgateway for istio-egressgateway, istio: <name> for others.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// service is how the gateway is reached.
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
	// loadBalancerClass chooses the implementation of the load balancer.
	// +optional
	LoadBalancerClass string `json:"loadBalancerClass,omitempty"`
	// externalTrafficPolicy Local keeps the client's address and avoids a second hop. Unset: Cluster.
	// +kubebuilder:validation:Enum=Cluster;Local
	// +optional
	ExternalTrafficPolicy string `json:"externalTrafficPolicy,omitempty"`
	// ports are added to the default ports (http 80, https 443, tcp 31400, status-port 15021); one of the same name replaces
	// the default.
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
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`
	// port that clients connect to.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port"`
	// targetPort that the proxy listens on; below 1024 it can't. Unset: port, plus 8000 when that is below 1024.
	// +kubebuilder:validation:Minimum=1024
	// +kubebuilder:validation:Maximum=65535
	// +optional
	TargetPort int32 `json:"targetPort,omitempty"`
	// nodePort that every node listens on. Unset: chosen by the cluster.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	// +optional
	NodePort int32 `json:"nodePort,omitempty"`
}
