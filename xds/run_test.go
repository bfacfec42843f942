package xds

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	fakedynamic "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/mesh-operator/mesh-operator/internal/envoytest"
	"github.com/mesh-operator/mesh-operator/internal/monitoring"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
)

func options() Options {
	return Options{
		Kubernetes: fake.NewClientset(&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "bookinfo", Name: "reviews-1"},
			Status:     corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: "10.244.0.1"}}},
		}, &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "bookinfo", Name: "reviews"},
			Spec:       corev1.ServiceSpec{ExternalIPs: []string{"192.0.2.1"}},
		}),
		Dynamic:         fakedynamic.NewSimpleDynamicClient(runtime.NewScheme()),
		MeshNamespace:   "istio-system",
		InsecureAddress: "127.0.0.1:0",
		Logger:          slog.New(slog.DiscardHandler),
	}
}

// TestRun starts all of pilot against an API server in memory that has no Istio kinds, and is one proxy of it.
func TestRun(t *testing.T) {
	o, log := options(), &lockedBuffer{}
	o.Logger = slog.New(slog.NewTextHandler(log, nil))
	debug := fmt.Sprintf("127.0.0.1:%d", envoytest.FreePort(t))
	o.Monitoring.Debug = []string{debug}
	ctx, cancel := context.WithCancel(t.Context())
	p, err := newPilot(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- p.run(ctx) }()

	conn, err := grpc.NewClient(p.listeners[0].Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := firstClusters(t, conn)
	if len(r.GetResources()) == 0 {
		t.Error("no clusters, want at least those that every proxy has")
	}
	waitReady(t, "http://"+debug+"/ready")
	for path, want := range map[string]string{
		"/ready": "ok", "/version": "istio-pilot", "/metrics": "pilot_xds 1", "/debug/syncz": "reviews-1.bookinfo",
		"/debug/config?proxy=reviews-1.bookinfo": "PassthroughCluster", "/debug/registryz": `"hostname": "reviews.bookinfo.svc.cluster.local"`,
	} {
		if body := get(t, "http://"+debug+path); !strings.Contains(body, want) {
			t.Errorf("%s does not say %q:\n%s", path, want, body)
		}
	}
	metrics := get(t, "http://"+debug+"/metrics")
	for _, want := range []string{
		`istio_build{component="pilot",tag="`, `pilot_info{version="`, "pilot_services 1\n", `pilot_k8s_reg_events{event="add",type="services"} 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	waitLogged(t, log, "object=Service/bookinfo/reviews field=spec.externalIPs")
	cancel()
	if err := <-done; err != nil {
		t.Errorf("run ends with %v", err)
	}
}

// TestFindingsFollowPublish has a Service of which one field is not followed, and the same without it: the push logs nothing, the
// analysis beside it logs the finding, and later that it is gone.
func TestFindingsFollowPublish(t *testing.T) {
	var log bytes.Buffer
	o := options()
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	p, err := newPilot(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer p.listeners[0].Close()
	with := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "s"}, Spec: corev1.ServiceSpec{ExternalIPs: []string{"192.0.2.1"}}}
	without := &corev1.Service{ObjectMeta: with.ObjectMeta}
	const found, gone = `level=WARN msg="configuration has no effect" object=Service/a/s field=spec.externalIPs`, `level=INFO msg="configuration problem is gone" object=Service/a/s field=spec.externalIPs`
	for _, c := range []struct {
		service     *corev1.Service
		found, gone int
	}{{with, 1, 0}, {with, 1, 0}, {without, 1, 1}} {
		before := log.String()
		p.publish(mesh.Inputs{MeshNamespace: "root", Services: mesh.Objects(c.service)})
		if strings.Count(log.String(), "externalIPs") != strings.Count(before, "externalIPs") {
			t.Errorf("the push logs findings:\n%s", &log)
		}
		select {
		case <-p.published:
			p.analyze()
		default:
			t.Error("no analysis follows the push")
		}
		if n, m := strings.Count(log.String(), found), strings.Count(log.String(), gone); n != c.found || m != c.gone {
			t.Errorf("the finding is logged %d times, and that it is gone %d times, want %d and %d:\n%s", n, m, c.found, c.gone, &log)
		}
	}
}

// TestBuildFailureIsReported leaves the one before in place, and the next change is built on that one.
func TestBuildFailureIsReported(t *testing.T) {
	p, err := newPilot(t.Context(), options())
	if err != nil {
		t.Fatal(err)
	}
	defer p.listeners[0].Close()
	var bases []*mesh.Snapshot
	p.build = func(prev *mesh.Snapshot, in mesh.Inputs) *mesh.Snapshot {
		bases = append(bases, prev)
		if in.MeshNamespace == "odd" {
			panic("an odd mesh")
		}
		return mesh.Build(prev, in)
	}
	p.publish(mesh.Inputs{MeshNamespace: "odd"})
	if p.snapshot.Load() != nil || p.checkReady() == nil {
		t.Error("pilot is ready without a mesh")
	}
	p.publish(mesh.Inputs{MeshNamespace: "good"})
	good := p.snapshot.Load()
	p.publish(mesh.Inputs{MeshNamespace: "odd"})
	if p.snapshot.Load() != good {
		t.Error("a mesh that cannot be built has replaced the one before")
	}
	p.publish(mesh.Inputs{MeshNamespace: "other"})
	if p.snapshot.Load() == good || !slices.Equal(bases, []*mesh.Snapshot{nil, nil, good, good}) {
		t.Errorf("built on %v, want the last good mesh each time", bases)
	}
	metrics, err := p.monitoring.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range metrics {
		if m.GetName() == "pilot_total_xds_internal_errors" && m.GetMetric()[0].GetCounter().GetValue() != 2 {
			t.Errorf("the panics are counted as %v, want 2", m)
		}
	}
}

// firstClusters asks like a proxy: again and again until pilot has its configuration.
func firstClusters(t *testing.T, conn *grpc.ClientConn) *discovery.DeltaDiscoveryResponse {
	t.Helper()
	for ctx, end := context.WithTimeout(t.Context(), 20*time.Second); ; {
		stream, err := discovery.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx, grpc.WaitForReady(true))
		if err != nil {
			t.Fatal(err)
		}
		_ = stream.Send(&discovery.DeltaDiscoveryRequest{
			Node: &corev3.Node{Id: "sidecar~10.244.0.1~reviews-1.bookinfo~bookinfo.svc.cluster.local"}, TypeUrl: string(resource.Cluster),
		})
		r, err := stream.Recv()
		if status.Code(err) == codes.Unavailable {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(end)
		return r
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// waitReady asks again and again: proxies are served a moment before pilot is ready, and the page is served by itself.
func waitReady(t *testing.T, url string) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		r, err := http.Get(url)
		if err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return
			}
			err = errors.New(r.Status)
		}
		select {
		case <-deadline.C:
			t.Fatalf("a pilot that serves is not ready: %v", err)
		case <-tick.C:
		}
	}
}

// waitLogged waits for a line of the log.
func waitLogged(t *testing.T, log *lockedBuffer, text string) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(log.String(), text) {
		select {
		case <-deadline.C:
			t.Fatalf("the log does not say %q:\n%s", text, log)
		case <-tick.C:
		}
	}
}

// lockedBuffer is a log that is read while it is written.
type lockedBuffer struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (b *lockedBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(line)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.String()
}

func TestInvalidAddressFailsAtStart(t *testing.T) {
	cases := map[string]struct {
		change func(*Options)
		says   string
	}{
		"NoAddress":     {func(o *Options) { o.InsecureAddress = "" }, "--insecure-grpc-addr"},
		"PlaintextOpen": {func(o *Options) { o.InsecureAddress = "0.0.0.0:15010" }, "loopback"},
		"DebugOpen":     {func(o *Options) { o.Monitoring = monitoring.Flags{Debug: []string{"0.0.0.0:0"}} }, "loopback"},
		"Nonsense":      {func(o *Options) { o.GRPCAddress = "nonsense" }, "--grpc-address"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			o := options()
			c.change(&o)
			if err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("Run ends with %v, want an error that says %q", err, c.says)
			}
		})
	}
}
