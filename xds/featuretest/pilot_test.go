package featuretest

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	meshv1alpha1 "istio.io/api/mesh/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/server"
)

// pilot is everything behind the watches, served on loopback: with mutual TLS and, for tests that are not about identity,
// without.
type pilot struct {
	t        *testing.T
	server   *server.Server
	secure   *grpc.Server
	address  string
	insecure string
	ca       *authority
	registry *prometheus.Registry
	log      *logBuffer

	mode     mesh.MTLSMode // of the mesh, by its configuration
	objects  map[string]any
	snapshot *mesh.Snapshot
}

// startPilot starts a pilot that has these objects. Without any it has no configuration at all yet.
func startPilot(t *testing.T, objects ...string) *pilot {
	p := &pilot{t: t, ca: newAuthority(t), registry: prometheus.NewRegistry(), log: &logBuffer{}, objects: map[string]any{}}
	p.server = server.New(slog.New(slog.NewTextHandler(p.log, nil)), p.registry)
	p.secure = p.server.Secure(p.ca.serverTLS(t))
	p.address = p.serve(p.secure, "127.0.0.1:0")
	p.insecure = p.serve(p.server.Insecure(), "127.0.0.1:0")
	if len(objects) > 0 {
		p.apply(objects...)
	}
	return p
}

func (p *pilot) serve(g *grpc.Server, address string) string {
	p.t.Helper()
	l, err := server.ListenLoopback(address)
	if err != nil {
		p.t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- g.Serve(l) }()
	p.t.Cleanup(func() {
		g.Stop()
		if err := <-done; err != nil {
			p.t.Error(err)
		}
	})
	return l.Addr().String()
}

// apply creates or replaces objects, as one change.
func (p *pilot) apply(objects ...string) {
	p.t.Helper()
	for _, text := range objects {
		for document := range strings.SplitSeq(text, "\n---\n") {
			key, object := decode(p.t, document)
			p.objects[key] = object
		}
	}
	p.publish()
}

// remove deletes objects by kind/namespace/name, as one change.
func (p *pilot) remove(keys ...string) {
	p.t.Helper()
	for _, key := range keys {
		if p.objects[key] == nil {
			p.t.Fatalf("no object %s", key)
		}
		delete(p.objects, key)
	}
	p.publish()
}

func (p *pilot) publish() {
	in := mesh.Inputs{MeshNamespace: "istio-system", MeshConfig: &meshv1alpha1.MeshConfig{}, MTLS: p.mode}
	for _, object := range p.objects {
		switch o := object.(type) {
		case *corev1.Service:
			mesh.Add(&in.Services, o)
		case *corev1.Pod:
			mesh.Add(&in.Pods, o)
		case *corev1.Secret:
			mesh.Add(&in.Secrets, o)
		case *discoveryv1.EndpointSlice:
			mesh.Add(&in.EndpointSlices, o)
		case istioconfig.Object:
			mesh.AddConfig(&in.Config, o)
		}
	}
	p.snapshot = mesh.Build(p.snapshot, in)
	p.server.Publish(p.snapshot)
}

func decode(t *testing.T, document string) (key string, object any) {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(document), &u.Object); err != nil {
		t.Fatalf("%v in\n%s", err, document)
	}
	u.SetCreationTimestamp(metav1.Unix(1_700_000_000, 0))
	typed := map[string]any{
		"Service": &corev1.Service{}, "Pod": &corev1.Pod{}, "Secret": &corev1.Secret{}, "EndpointSlice": &discoveryv1.EndpointSlice{},
	}[u.GetKind()]
	key = u.GetKind() + "/" + u.GetNamespace() + "/" + u.GetName()
	if typed == nil {
		o, err := istioconfig.Decode(u)
		if err != nil {
			t.Fatal(err)
		}
		return key, o
	}
	if err := yaml.UnmarshalStrict([]byte(document), typed); err != nil {
		t.Fatalf("%v in\n%s", err, document)
	}
	return key, typed
}

// workload is a Service with one pod behind it. The pod runs as the account of the same name.
func workload(namespace, name, ip string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Service
metadata: {namespace: %[1]s, name: %[2]s}
spec:
  clusterIP: 10.96%[4]s
  selector: {app: %[2]s}
  ports: [{name: http, port: 9080, targetPort: 9080}]
---
%[5]s
---
%[6]s`, namespace, name, ip, ip[strings.Index(ip, ".")+4:], pod(namespace, name, ip), endpoints(namespace, name, ip))
}

func pod(namespace, name, ip string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {namespace: %[1]s, name: %[2]s-1, uid: %[1]s-%[2]s-%[3]s, labels: {app: %[2]s, security.istio.io/tlsMode: istio}}
spec:
  serviceAccountName: %[2]s
  containers: [{name: app}, {name: istio-proxy, args: [proxy, sidecar]}]
status: {podIPs: [{ip: %[3]s}]}`, namespace, name, ip)
}

func endpoints(namespace, name string, ips ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: %[1]s, name: %[2]s-1, labels: {kubernetes.io/service-name: %[2]s}}
addressType: IPv4
ports: [{name: http, port: 9080}]
endpoints:
`, namespace, name)
	for _, ip := range ips {
		fmt.Fprintf(&b, "- {addresses: [%s], conditions: {ready: true}, targetRef: {kind: Pod, name: %s-1}}\n", ip, name)
	}
	return b.String()
}

// router is a gateway's pod and Service.
func router(namespace, name, ip string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {namespace: %[1]s, name: %[2]s-1, uid: %[1]s-%[2]s, labels: {istio: %[2]s}}
spec:
  serviceAccountName: %[2]s
  containers: [{name: istio-proxy, args: [proxy, router]}]
status: {podIPs: [{ip: %[3]s}]}
---
apiVersion: v1
kind: Service
metadata: {namespace: %[1]s, name: %[2]s}
spec:
  clusterIP: 10.96%[4]s
  selector: {istio: %[2]s}
  ports: [{name: http, port: 80, targetPort: 8080}, {name: https, port: 443, targetPort: 8443}]`, namespace, name, ip, ip[strings.Index(ip, ".")+4:])
}

// logBuffer is what pilot logged.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// counter reads a metric.
func (p *pilot) counter(name string, labels ...string) float64 {
	p.t.Helper()
	families, err := p.registry.Gather()
	if err != nil {
		p.t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			values := []string{}
			for _, l := range m.GetLabel() {
				values = append(values, l.GetValue())
			}
			if family.GetName() == name && strings.Join(values, ",") == strings.Join(labels, ",") {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return 0
}
