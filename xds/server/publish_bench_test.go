package server

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
