package ingress

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func balancer(name string, age int, addresses ...string) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: name, CreationTimestamp: metav1.Unix(int64(1000-age), 0)},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer},
	}
	for _, a := range addresses {
		s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: a})
	}
	return s
}

func TestAssign(t *testing.T) {
	clusterIP := balancer("internal", 9)
	clusterIP.Spec.Type = corev1.ServiceTypeClusterIP
	foreign := balancer("foreign", 9)
	foreign.Spec.LoadBalancerClass = new("example.com/other")
	deleted := balancer("deleted", 9)
	deleted.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	for name, test := range map[string]struct {
		services []*corev1.Service
		want     map[string]string
	}{
		"nothing":                 {nil, map[string]string{}},
		"the oldest is first":     {[]*corev1.Service{balancer("b", 1), balancer("a", 2)}, map[string]string{"a": "10.0.0.1", "b": "10.0.0.2"}},
		"of one age, by name":     {[]*corev1.Service{balancer("b", 1), balancer("a", 1)}, map[string]string{"a": "10.0.0.1", "b": "10.0.0.2"}},
		"an address stays":        {[]*corev1.Service{balancer("a", 2, "10.0.0.9")}, map[string]string{}},
		"a taken one is left out": {[]*corev1.Service{balancer("b", 1), balancer("a", 2, "10.0.0.1")}, map[string]string{"b": "10.0.0.2"}},
		"others are none of ours": {[]*corev1.Service{clusterIP, foreign, deleted}, map[string]string{}},
		"an empty pool gives nothing": {
			[]*corev1.Service{balancer("z", 1), balancer("a", 2, "10.0.0.1"), balancer("b", 2, "10.0.0.2"), balancer("c", 2, "10.0.0.3")},
			map[string]string{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := map[string]string{}
			for s, a := range Assign(netip.MustParsePrefix("10.0.0.0/30"), test.services) {
				got[s.Name] = a.String()
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDoors(t *testing.T) {
	port := func(name string, number, node int32, change ...func(*corev1.ServicePort)) corev1.ServicePort {
		p := corev1.ServicePort{Name: name, Port: number, NodePort: node, Protocol: corev1.ProtocolTCP}
		for _, c := range change {
			c(&p)
		}
		return p
	}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "istio-system", Name: "gateway"}}
	service.Spec.Ports = []corev1.ServicePort{
		port("http", 80, 31380),
		port("https", 443, 31390),
		port("http2-grpc", 81, 31381),
		port("tcp", 31400, 31400),
		port("", 9000, 31900),
		port("odd", 9001, 31901, func(p *corev1.ServicePort) { p.AppProtocol = new("https") }),
		port("dns", 53, 31053, func(p *corev1.ServicePort) { p.Protocol = corev1.ProtocolUDP }),
		port("closed", 1, 0),
	}
	want := map[string]Door{
		"istio-system/gateway/http":       {31380, "http"},
		"istio-system/gateway/https":      {31390, "https"},
		"istio-system/gateway/http2-grpc": {31381, "http"},
		"istio-system/gateway/tcp":        {31400, "tcp"},
		"istio-system/gateway/9000":       {31900, "tcp"},
		"istio-system/gateway/odd":        {31901, "https"},
	}
	if diff := cmp.Diff(want, Doors([]*corev1.Service{service})); diff != "" {
		t.Error(diff)
	}
}
