package envoy

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/scope"
)

// BenchmarkEndpointChange is one endpoint of one of 1000 services coming and going, for proxies of two namespaces.
func BenchmarkEndpointChange(b *testing.B) {
	in := manyServices(1000, 5)
	builder, snapshot := NewBuilder(), mesh.Build(nil, in)
	all := in.EndpointSlices[500]
	build := func() {
		snapshot = mesh.Build(snapshot, in)
		for _, namespace := range []string{"ns-0", "ns-1"} {
			proxy, _ := snapshot.Proxy(namespace, "s-"+namespace[3:]+"-0")
			builder.Build(scope.For(snapshot, proxy))
		}
	}
	build()
	b.ResetTimer()
	for i := range b.N {
		slice := all.DeepCopy()
		slice.Endpoints = slice.Endpoints[:4+i%2]
		in.EndpointSlices[500] = slice
		build()
	}
}

// BenchmarkFirstBuild is a control plane that has just started.
func BenchmarkFirstBuild(b *testing.B) {
	in := manyServices(1000, 5)
	for range b.N {
		snapshot := mesh.Build(nil, in)
		proxy, _ := snapshot.Proxy("ns-0", "s-0-0")
		NewBuilder().Build(scope.For(snapshot, proxy))
	}
}

// BenchmarkNextWorkload is one more workload of a namespace whose view is there already.
func BenchmarkNextWorkload(b *testing.B) {
	in := manyServices(1000, 5)
	builder, snapshot := NewBuilder(), mesh.Build(nil, in)
	proxy, _ := snapshot.Proxy("ns-0", "s-0-0")
	builder.Build(scope.For(snapshot, proxy))
	b.ResetTimer()
	for i := range b.N {
		proxy.Inbound = []mesh.InboundPort{{Port: uint32(1024 + i%60000), ServicePort: 80, Host: "x", Protocol: mesh.HTTP, Mode: mesh.Strict}}
		builder.Build(scope.For(snapshot, proxy))
	}
}

func manyServices(services, endpoints int) mesh.Inputs {
	in := mesh.Inputs{MeshNamespace: "istio-system"}
	name, port := "http", int32(80)
	for s := range services {
		namespace, service := fmt.Sprintf("ns-%d", s%20), fmt.Sprintf("s-%d", s)
		in.Services = append(in.Services, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: service},
			Spec: corev1.ServiceSpec{
				ClusterIP: fmt.Sprintf("10.96.%d.%d", s/250, s%250), Selector: map[string]string{"app": service},
				Ports: []corev1.ServicePort{{Name: name, Port: port}},
			},
		})
		slice := &discoveryv1.EndpointSlice{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: service, Labels: map[string]string{discoveryv1.LabelServiceName: service}},
			Ports:      []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
		}
		for e := range endpoints {
			ip, pod := fmt.Sprintf("10.%d.%d.%d", e, s/250, s%250), fmt.Sprintf("%s-%d", service, e)
			in.Pods = append(in.Pods, &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: pod, Labels: map[string]string{"app": service, "security.istio.io/tlsMode": "istio"}},
				Status:     corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: ip}}},
			})
			slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{ip}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: pod}})
		}
		in.EndpointSlices = append(in.EndpointSlices, slice)
	}
	return in
}
