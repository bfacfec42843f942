package scenarios

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	securityapi "istio.io/api/security/v1alpha1"

	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// dialPod connects to a port of a pod; the cluster's API server carries the bytes, as kubectl port-forward does.
func dialPod(t *testing.T, namespace, selector string, port int) func(context.Context, string) (net.Conn, error) {
	t.Helper()
	pod, err := mesh.RunningPod(within(t, 30*time.Second), namespace, selector)
	must(t, err)
	return func(ctx context.Context, _ string) (net.Conn, error) { return mesh.DialPod(ctx, pod, port) }
}

func unauthenticatedClient(t *testing.T, namespace, selector string, port int) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///pod", grpc.WithContextDialer(dialPod(t, namespace, selector, port)),
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{InsecureSkipVerify: true}))) // an attacker does not verify the server
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestUnauthenticatedCalls calls the gRPC services of citadel and pilot without credentials.
func TestUnauthenticatedCalls(t *testing.T) {
	readyMesh(t)
	t.Run("citadel signs no certificate", func(t *testing.T) {
		client := securityapi.NewIstioCertificateServiceClient(unauthenticatedClient(t, "istio-system", "istio=citadel", 8060))
		_, err := client.CreateCertificate(within(t, 20*time.Second), &securityapi.IstioCertificateRequest{})
		if status.Code(err) != codes.Unauthenticated {
			t.Errorf("got %v, want Unauthenticated", err)
		}
	})
	t.Run("pilot sends no configuration", func(t *testing.T) {
		client := discovery.NewAggregatedDiscoveryServiceClient(unauthenticatedClient(t, "istio-system", "istio=pilot", 15011))
		stream, err := client.DeltaAggregatedResources(within(t, 20*time.Second))
		if err == nil {
			_, err = stream.Recv()
		}
		if err == nil {
			t.Error("pilot answered a client without a certificate")
		}
	})
}

// ourPods are the pods of the operator and the control plane, and their listening ports beyond loopback, each with its protection.
var ourPods = []struct {
	namespace, selector string
	ports               map[int]string
}{
	{"istio-operator", "name=istio-operator", map[int]string{15014: open}},
	{"istio-system", "istio=citadel", map[int]string{8060: "token or certificate per call", 15014: open}},
	{"istio-system", "istio=pilot", map[int]string{15011: "client certificate", 15014: open}},
	{"istio-system", "istio=galley", map[int]string{9443: "the API server's port", 15014: open}},
	{"istio-system", "istio=sidecar-injector", map[int]string{9443: "the API server's port", 15014: open}},
	{"istio-system", "istio=telemetry", map[int]string{15004: "client certificate", 15014: open}},
	{"istio-system", "istio=elasticsearch", map[int]string{9200: "client certificate of Jaeger", 15021: "readiness, read-only"}},
	{"istio-system", "istio=jaeger-collector", map[int]string{4317: "spans, write-only", 9411: "spans, write-only", 13133: "readiness, read-only", 15021: "readiness, read-only"}},
	{"istio-system", "istio=jaeger-query", map[int]string{16686: "queries, read-only (docs/tracing.md)", 13133: "readiness, read-only", 15021: "readiness, read-only"}},
	{"istio-system", "istio=jaeger-agent", map[int]string{4317: "spans, write-only", 9411: "spans, write-only", 13133: "readiness, read-only"}},
	{"istio-system", "istio=grafana", map[int]string{3000: "user name and password (docs/grafana.md)"}},
	{"istio-system", "istio=prometheus", map[int]string{9090: "queries, read-only (docs/prometheus.md)"}},
}

const open = "/ready, /version and /metrics, read-only"

// TestListeners compares the listening ports of each of these pods with the table: a new port fails until it is listed there
// with its protection.
func TestListeners(t *testing.T) {
	readyMesh(t)
	for _, ours := range ourPods {
		t.Run(ours.selector, func(t *testing.T) {
			pod, err := mesh.RunningPod(within(t, 30*time.Second), ours.namespace, ours.selector)
			must(t, err)
			listening, err := mesh.Listening(within(t, time.Minute), pod)
			must(t, err)
			for _, port := range listening {
				if ours.ports[port] == "" {
					t.Errorf("port %d of %s listens and is not in the table", port, pod.Name)
				}
			}
			if len(listening) == 0 {
				t.Error("no listening port was found")
			}
		})
	}
}

// TestOpenPortsServeThreePages calls the ports without protection from another pod: only three pages are served, and none of
// those that Go programs and controllers often serve besides.
func TestOpenPortsServeThreePages(t *testing.T) {
	readyMesh(t)
	plaintextClient(t)
	for _, ours := range ourPods {
		for port, protection := range ours.ports {
			if protection != open {
				continue
			}
			t.Run(ours.selector, func(t *testing.T) {
				pod, err := mesh.RunningPod(within(t, 30*time.Second), ours.namespace, ours.selector)
				must(t, err)
				base := "http://" + net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(port))
				for path, want := range map[string]int{
					"/ready": 200, "/version": 200, "/metrics": 200,
					"/": 404, "/debug/syncz": 404, "/debug/config": 404, "/debug/pprof/": 404, "/configz": 404, "/healthz": 404, "/metrics/x": 404,
				} {
					seen, err := statuses(within(t, time.Minute), outside, 1, base+path)
					must(t, err)
					if seen[want] != 1 {
						t.Errorf("GET %s: %v, want %d", path, seen, want)
					}
				}
				seen, err := statuses(within(t, time.Minute), outside, 1, "-X", "POST", base+"/ready")
				must(t, err)
				if seen[405] != 1 {
					t.Errorf("POST /ready: %v, want 405", seen)
				}
			})
		}
	}
}

// TestDebugIsOnLoopback opens a debug page through port-forward; TestOpenPortsServeThreePages checks that other pods get none.
func TestDebugIsOnLoopback(t *testing.T) {
	readyMesh(t)
	pod, err := mesh.RunningPod(within(t, 30*time.Second), "istio-system", "istio=pilot")
	must(t, err)
	must(t, lab.Until(within(t, 30*time.Second), "/debug/syncz lists the gateway", func(ctx context.Context) error {
		text, err := getThroughPod(ctx, pod, 15014, "/debug/syncz")
		if err == nil && !strings.Contains(text, "istio-ingressgateway") {
			err = fmt.Errorf("got %.500s", text)
		}
		return err
	}))
}

// getThroughPod opens a page on a pod's loopback, as kubectl port-forward does.
func getThroughPod(ctx context.Context, pod *corev1.Pod, port int, path string) (string, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return mesh.DialPod(ctx, pod, port)
	}}}
	reply, err := lab.Get(ctx, lab.Request{URL: fmt.Sprintf("http://%s:%d%s", pod.Name, port, path), Client: client})
	if err == nil && reply.Status != 200 {
		err = fmt.Errorf("status %d", reply.Status)
	}
	return reply.Body, err
}
