package server

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	networking "istio.io/api/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
)

// BenchmarkPublish tells a thousand proxies of 20 namespaces of a change that is none of theirs; the time is that of one proxy.
func BenchmarkPublish(b *testing.B) {
	const proxies = 1000
	var in mesh.Inputs
	for i := range proxies {
		meta := metav1.ObjectMeta{Namespace: fmt.Sprintf("n%d", i%20), Name: fmt.Sprintf("w%d", i)}
		mesh.Add(&in.Services, someService(meta, byte(i)))
		mesh.Add(&in.Pods, somePod(meta, meta.Name, byte(2*i), 2))
	}
	s, snapshot := New(slog.New(slog.DiscardHandler), prometheus.NewRegistry()), mesh.Build(nil, in)
	s.Publish(snapshot)
	for p := range in.Pods.Values() {
		proxy, _ := snapshot.Proxy(p.Namespace, p.Name)
		s.attach(newConnection(*proxy))
	}
	s.Publish(mesh.Build(snapshot, in))
	for b.Loop() {
		snapshot = mesh.Build(snapshot, in)
		s.Publish(snapshot)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/proxies, "ns/proxy")
}

// BenchmarkPublishRules is a mesh of a thousand services with a VirtualService and a DestinationRule each, and twenty proxies. Rules
// are checked against what changes.
func BenchmarkPublishRules(b *testing.B) {
	const services = 1000
	in := mesh.Inputs{MeshNamespace: "root"}
	for i := range services {
		meta := metav1.ObjectMeta{Namespace: fmt.Sprintf("n%d", i%20), Name: fmt.Sprintf("w%d", i)}
		mesh.Add(&in.Services, &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": meta.Name}, Ports: []corev1.ServicePort{{Name: "http", Port: 80}},
		}})
		to := &networking.Destination{Host: meta.Name, Subset: "v1"}
		config(&in, false, istioconfig.VirtualService, meta, &networking.VirtualService{Hosts: []string{meta.Name}, Http: []*networking.HTTPRoute{{
			Route: []*networking.HTTPRouteDestination{{Destination: to}},
		}}})
		config(&in, false, istioconfig.DestinationRule, meta, &networking.DestinationRule{Host: meta.Name, Subsets: []*networking.Subset{{Name: "v1"}}})
		if i < 20 {
			mesh.Add(&in.Pods, somePod(meta, meta.Name, byte(2*i), 2))
		}
	}
	for name, change := range map[string]func(in *mesh.Inputs, odd bool){
		"nothing": func(*mesh.Inputs, bool) {},
		"a first proxy of a namespace": func(in *mesh.Inputs, odd bool) {
			mesh.Add(&in.Pods, somePod(metav1.ObjectMeta{Namespace: "n7", Name: "late"}, "late", 2, map[bool]byte{true: 4, false: 11}[odd]))
		},
	} {
		b.Run(name, func(b *testing.B) {
			in := in
			if name == "a first proxy of a namespace" {
				in.Pods = in.Pods.Without("n7/w7")
			}
			s, snapshot := New(slog.New(slog.DiscardHandler), prometheus.NewRegistry()), mesh.Build(nil, in)
			s.Publish(snapshot)
			for p := range in.Pods.Values() {
				proxy, _ := snapshot.Proxy(p.Namespace, p.Name)
				s.attach(newConnection(*proxy))
			}
			for i := 0; b.Loop(); i++ {
				change(&in, i%2 == 1)
				snapshot = mesh.Build(snapshot, in)
				s.Publish(snapshot)
			}
		})
	}
}
