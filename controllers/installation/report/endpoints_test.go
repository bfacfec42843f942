package report

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// gatewayService is a Service as the gateways have it.
func gatewayService(kind corev1.ServiceType, addresses ...corev1.LoadBalancerIngress) *corev1.Service {
	port := func(name string, number, node int32) corev1.ServicePort {
		if kind == corev1.ServiceTypeClusterIP {
			node = 0
		}
		return corev1.ServicePort{Name: name, Port: number, NodePort: node}
	}
	s := &corev1.Service{Spec: corev1.ServiceSpec{Type: kind, Ports: []corev1.ServicePort{
		port("https", 443, 31390), port("http", 80, 31380), port("tcp", 31400, 31400), port("status-port", 15021, 30021),
		port("http-admin", 8080, 30080), port("http2-api", 80, 31380),
	}}}
	s.Status.LoadBalancer.Ingress = addresses
	return s
}

func runningAt(component string, phase corev1.PodPhase, node string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: component + "-" + node, Labels: map[string]string{owner.LabelComponent: component}}}
	pod.Status = corev1.PodStatus{Phase: phase, HostIP: node}
	return pod
}

var endpointCases = map[string]struct {
	service   *corev1.Service
	component desired.Component
	want      string // URLs
}{
	"Addresses": {
		service: gatewayService(corev1.ServiceTypeLoadBalancer, corev1.LoadBalancerIngress{IP: "203.0.113.7"}, corev1.LoadBalancerIngress{Hostname: "lb.example.com"}),
		want: "http://203.0.113.7 http://203.0.113.7:8080 http://lb.example.com http://lb.example.com:8080 " +
			"https://203.0.113.7 https://lb.example.com",
	},
	"IPv6": {
		service: gatewayService(corev1.ServiceTypeLoadBalancer, corev1.LoadBalancerIngress{IP: "2001:db8::7"}),
		want:    "http://[2001:db8::7] http://[2001:db8::7]:8080 https://[2001:db8::7]",
	},
	"NodePorts": {
		service: gatewayService(corev1.ServiceTypeNodePort),
		want:    "http://10.0.0.5:30080 http://10.0.0.5:31380 https://10.0.0.5:31390",
	},
	"NoAddressYet": {
		service: gatewayService(corev1.ServiceTypeLoadBalancer),
		want:    "http://10.0.0.5:30080 http://10.0.0.5:31380 https://10.0.0.5:31390",
	},
	"ClusterIP": {service: gatewayService(corev1.ServiceTypeClusterIP)},
	"Disabled": {
		service:   gatewayService(corev1.ServiceTypeNodePort),
		component: desired.Component{Name: "g", Workload: "g", Endpoints: true},
	},
	"Egress": {
		service:   gatewayService(corev1.ServiceTypeNodePort),
		component: desired.Component{Name: "g", Workload: "g", Enabled: true},
	},
	"NoService": {},
	"External":  {component: desired.Component{Name: "g", Workload: "g", External: "https://g.example.com"}, want: "https://g.example.com"},
}

func TestEndpoints(t *testing.T) {
	pods := []*corev1.Pod{
		runningAt("g", corev1.PodRunning, "10.0.0.6"), runningAt("g", corev1.PodRunning, "10.0.0.5"),
		runningAt("g", corev1.PodPending, "10.0.0.1"), runningAt("other", corev1.PodRunning, "10.0.0.2"),
	}
	for name, c := range endpointCases {
		t.Run(name, func(t *testing.T) {
			component := c.component
			if component.Name == "" {
				component = desired.Component{Name: "g", Workload: "g", Enabled: true, Endpoints: true}
			}
			out := Outcome{Plan: desired.Plan{Components: []desired.Component{component}}, Pods: pods}
			if c.service != nil {
				out.Services = map[string]*corev1.Service{"g": c.service}
			}
			var got []string
			for _, e := range endpoints(out) {
				got = append(got, strings.TrimPrefix(e.Name+" "+e.URL, "g "))
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got  %s\nwant %s", strings.Join(got, " "), c.want)
			}
		})
	}
}

// TestEndpointsOfIngressGateways takes the gateways from a spec.
func TestEndpointsOfIngressGateways(t *testing.T) {
	spec := &v1alpha1.InstallationSpec{Gateways: []v1alpha1.GatewaySpec{{Name: "partner"}, {Name: "way-out", Type: "Egress"}}}
	plan, err := desired.Build(desired.Input{Spec: spec, Catalog: desired.Components()})
	if err != nil {
		t.Fatal(err)
	}
	out := Outcome{Plan: plan, Services: map[string]*corev1.Service{}}
	for _, name := range []string{"istio-ingressgateway", "istio-egressgateway", "partner", "way-out", "istio-pilot"} {
		out.Services[name] = gatewayService(corev1.ServiceTypeLoadBalancer, corev1.LoadBalancerIngress{IP: "203.0.113.7"})
	}
	names := map[string]bool{}
	for _, e := range endpoints(out) {
		names[e.Name] = true
	}
	if len(names) != 2 || !names["istio-ingressgateway"] || !names["partner"] {
		t.Errorf("endpoints of %v, want those of istio-ingressgateway and partner", names)
	}
	if got := Status(v1alpha1.InstallationStatus{}, healthy(), nil, now).Endpoints; got != nil {
		t.Errorf("without a gateway: %v", got)
	}
}
