package desired

import (
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
)

const (
	ingressGateway = "istio-ingressgateway"
	egressGateway  = "istio-egressgateway"
)

// gateways returns the two default gateways, as the Installation changes them, and those that it adds.
func gateways(spec *v1alpha1.InstallationSpec) []v1alpha1.GatewaySpec {
	byName := map[string]v1alpha1.GatewaySpec{ingressGateway: {Name: ingressGateway}, egressGateway: {Name: egressGateway}}
	for _, g := range spec.Gateways {
		byName[g.Name] = g
	}
	names := slices.Sorted(maps.Keys(byName))
	out := make([]v1alpha1.GatewaySpec, 0, len(names))
	for _, name := range names {
		out = append(out, byName[name])
	}
	return out
}

func isEgress(g v1alpha1.GatewaySpec) bool {
	return g.Type == "Egress" || g.Type == "" && g.Name == egressGateway
}

// gatewayValues are the values of the chart gateway beyond the common ones.
func gatewayValues(g v1alpha1.GatewaySpec) map[string]any {
	service := g.Service
	if service == nil {
		service = &v1alpha1.GatewayServiceSpec{}
	}
	serviceType := serviceType(g)
	ports := gatewayPorts(g, serviceType)
	labels := gatewayLabels(g)
	podLabels := maps.Clone(labels)
	for key, value := range g.PodLabels {
		if _, taken := podLabels[key]; !taken && !reservedLabel(key) {
			podLabels[key] = value
		}
	}
	drain, _ := gatewayDrain(g)
	return map[string]any{
		"drain": drain.String(), "gracePeriod": gracePeriod(drain),
		"labels": toValues(labels), "podLabels": toValues(podLabels), "containerPorts": containerPorts(g),
		"concurrency": 2, "logLevel": "warning",
		"service": map[string]any{
			"type": serviceType, "annotations": toValues(service.Annotations), "loadBalancerClass": service.LoadBalancerClass,
			"externalTrafficPolicy": externalTrafficPolicy(service, serviceType), "ports": servicePorts(ports),
		},
	}
}

func serviceType(g v1alpha1.GatewaySpec) string {
	switch {
	case g.Service != nil && g.Service.Type != "":
		return g.Service.Type
	case isEgress(g):
		return "ClusterIP"
	}
	return "LoadBalancer"
}

// drainVariable is how long a proxy continues to serve after its pod got the signal to end. A gateway's may be set, because a
// load balancer outside of the cluster needs time of its own to stop sending requests to the pod.
const (
	drainVariable = "TERMINATION_DRAIN_DURATION"
	defaultDrain  = 5 * time.Second
	longestDrain  = time.Hour
)

// gatewayDrain returns the duration of spec, or the default; wrong is the value of spec if it is no valid duration.
func gatewayDrain(g v1alpha1.GatewaySpec) (drain time.Duration, wrong string) {
	for _, e := range g.Env {
		if e.Name != drainVariable || e.Value == "" {
			continue
		}
		d, err := time.ParseDuration(e.Value)
		if err != nil || d < 0 || d > longestDrain {
			return defaultDrain, e.Value
		}
		return d, ""
	}
	return defaultDrain, ""
}

// gracePeriod is terminationGracePeriodSeconds of a gateway: the drain, 15 s for open requests and connections after it, and
// 10 s for Envoy to exit.
func gracePeriod(drain time.Duration) int64 {
	return int64(math.Ceil((drain + 25*time.Second).Seconds()))
}

// externalTrafficPolicy is refused by the API server on a Service without outside traffic.
func externalTrafficPolicy(service *v1alpha1.GatewayServiceSpec, serviceType string) string {
	if serviceType == "ClusterIP" {
		return ""
	}
	return service.ExternalTrafficPolicy
}

// gatewayLabels are what the selectors of Istio Gateways look for.
func gatewayLabels(g v1alpha1.GatewaySpec) map[string]string {
	labels := map[string]string{"istio": strings.TrimPrefix(g.Name, "istio-")}
	for key, value := range g.Labels {
		if !reservedLabel(key) {
			labels[key] = value
		}
	}
	return labels
}

// reservedLabel reports labels that selectors and ownership rest on.
func reservedLabel(key string) bool {
	return key == "app" || key == "app.kubernetes.io/managed-by" || strings.HasPrefix(key, "istio.openshift.com/") ||
		key == "istio.io/rev" || strings.HasPrefix(key, "service.istio.io/canonical-")
}

// gatewayPorts are the default ports with those of the Installation, by name. The historic node ports exist only where the
// Service has node ports at all.
func gatewayPorts(g v1alpha1.GatewaySpec, serviceType string) []v1alpha1.GatewayPort {
	ports := []v1alpha1.GatewayPort{
		{Name: "http", Port: 80, TargetPort: 8080},
		{Name: "https", Port: 443, TargetPort: 8443},
	}
	if g.Name == ingressGateway {
		ports[0].NodePort, ports[1].NodePort = 31380, 31390
	}
	if !isEgress(g) {
		tcp := v1alpha1.GatewayPort{Name: "tcp", Port: 31400, TargetPort: 31400}
		if g.Name == ingressGateway {
			tcp.NodePort = 31400
		}
		ports = append(ports, tcp)
	}
	ports = append(ports, v1alpha1.GatewayPort{Name: "status-port", Port: 15021, TargetPort: 15021})
	if g.Service != nil {
		ports = mergePorts(ports, g.Service.Ports)
	}
	for i := range ports {
		if serviceType == "ClusterIP" {
			ports[i].NodePort = 0
		}
		if ports[i].TargetPort == 0 {
			ports[i].TargetPort = unprivilegedPort(ports[i].Port)
		}
	}
	return ports
}

// mergePorts replaces ports of the same name and adds the others. A default port whose number the user gives to a port of
// another name gives way.
func mergePorts(defaults, users []v1alpha1.GatewayPort) []v1alpha1.GatewayPort {
	out := slices.DeleteFunc(slices.Clone(defaults), func(d v1alpha1.GatewayPort) bool {
		return slices.ContainsFunc(users, func(u v1alpha1.GatewayPort) bool { return u.Name == d.Name || u.Port == d.Port })
	})
	return append(out, users...)
}

// unprivilegedPort is the port that a process without privileges listens on for port, which is also pilot's rule.
func unprivilegedPort(port int32) int32 {
	if port < 1024 {
		return port + 8000
	}
	return port
}

func servicePorts(ports []v1alpha1.GatewayPort) []any {
	out := make([]any, 0, len(ports))
	for _, p := range ports {
		port := map[string]any{"name": p.Name, "port": p.Port, "targetPort": p.TargetPort, "protocol": "TCP"}
		if p.NodePort != 0 {
			port["nodePort"] = p.NodePort
		}
		out = append(out, port)
	}
	return out
}

// containerPorts lists the ports that a gateway listens on by itself. They inform only, and those that the Installation adds
// are not among them: a port of a Service must not restart the proxy.
func containerPorts(g v1alpha1.GatewaySpec) []any {
	ports := []int32{8080, 8443, 15021}
	if !isEgress(g) {
		ports = append(ports, 31400)
	}
	var out []any
	for _, port := range ports {
		out = append(out, map[string]any{"port": port, "protocol": "TCP"})
	}
	return out
}
