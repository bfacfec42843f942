package names

// Ports of a pod with a proxy, as Istio's documentation of application requirements lists them. No workload and no configuration may
// claim them.
const (
	// EnvoyAdminPort is Envoy's administration, on loopback.
	EnvoyAdminPort = 15000
	// OutboundPort gets what the application sends.
	OutboundPort = 15001
	// DrainPort begins the drain of the proxy, on loopback.
	DrainPort = 15004
	// InboundPort gets what is sent to the application.
	InboundPort = 15006
	// AgentPort serves merged metrics and answers the kubelet's probes.
	AgentPort = 15020
	// HealthPort is the readiness of the proxy.
	HealthPort = 15021
	// EnvoyMetricsPort serves the metrics of Envoy alone.
	EnvoyMetricsPort = 15090
)

// NeverCaptured are the ports that the kubelet and Prometheus reach past Envoy.
const NeverCaptured = "15090,15021,15020"

// ProxyPorts are all of the ports above.
var ProxyPorts = map[uint32]bool{
	EnvoyAdminPort: true, OutboundPort: true, DrainPort: true, InboundPort: true, AgentPort: true, HealthPort: true, EnvoyMetricsPort: true,
}
