package scenarios

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// TestMeshctl looks at Bookinfo under load with the commands of meshctl that ask a cluster: through the API server's proxy of pods (top)
// and of Services (graph), and through port-forwards (logs, describe, dashboard).
func TestMeshctl(t *testing.T) {
	readyMesh(t)
	sharedBookinfo(t)
	load(t)
	program := filepath.Join(t.TempDir(), "meshctl")
	// Flags of the images' programs, which share most of its packages in the build cache.
	_, err := lab.Run(within(t, 10*time.Minute), mesh.Root, "env", "CGO_ENABLED=0", "go", "build", "-trimpath", "-buildvcs=false", "-o", program, "./cmd/meshctl")
	must(t, err)
	meshctl := func(ctx context.Context, args ...string) (string, error) {
		return lab.Run(ctx, mesh.Root, program, append(args, "--kubeconfig", mesh.Kubeconfig)...)
	}
	must(t, lab.Until(within(t, 3*time.Minute), "top shows productpage", func(ctx context.Context) error {
		out, err := meshctl(ctx, "top", "--once", "-n", bookinfo, "-o", "json")
		return errors.Join(err, topShows(out, "productpage-v1"))
	}))
	must(t, lab.Until(within(t, 3*time.Minute), "graph shows productpage calling details over mutual TLS", func(ctx context.Context) error {
		out, err := meshctl(ctx, "graph", "-n", bookinfo, "-o", "json")
		return errors.Join(err, graphShows(out, "productpage-v1", "details-v1"))
	}))
	must(t, lab.Until(within(t, 3*time.Minute), "logs shows what productpage received and sent", func(ctx context.Context) error {
		out, err := meshctl(ctx, "logs", "productpage-v1", "-n", bookinfo, "--status", "2xx")
		for _, part := range []string{"  IN   200  ", "GET /productpage  from spiffe://cluster.local/ns/" + bookinfo + "/sa/", "  OUT  200  ", "  to details." + bookinfo + ".svc.cluster.local:9080 at "} {
			if err == nil && !strings.Contains(out, part) {
				err = fmt.Errorf("no %q in:\n%.2000s", part, out)
			}
		}
		return err
	}))
	pods, err := mesh.Client.CoreV1().Pods(bookinfo).List(within(t, time.Minute), metav1.ListOptions{LabelSelector: "app=productpage"})
	if must(t, err); len(pods.Items) == 0 {
		t.Fatal("productpage has no pod")
	}
	must(t, lab.Until(within(t, 3*time.Minute), "describe shows the pod of productpage", func(ctx context.Context) error {
		out, err := meshctl(ctx, "describe", "pod", pods.Items[0].Name, "-n", bookinfo)
		for _, part := range []string{"in step with pilot", "port 9080, http as productpage." + bookinfo + ".svc.cluster.local:9080: mutual TLS only (STRICT)", "policy of DestinationRule/" + bookinfo + "/reviews"} {
			if err == nil && !strings.Contains(out, part) {
				err = fmt.Errorf("no %q in:\n%s", part, out)
			}
		}
		return err
	}))
	out, err := meshctl(within(t, time.Minute), "describe", "service", "productpage", "-n", bookinfo)
	if must(t, err); !strings.Contains(out, "by Gateway/"+bookinfo+"/") {
		t.Errorf("no gateway exposes productpage:\n%s", out)
	}
	opensDashboard(t, program)
}

// load has a pod of the mesh request the page until the end of the test.
func load(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_, _ = curl(ctx, bookinfo, "http://productpage:9080/productpage")
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond): // a rate, not a wait
			}
		}
	}()
	t.Cleanup(func() { stop(); <-done })
}

func topShows(out, workload string) error {
	var rows []struct {
		Workload string
		In       struct{ RequestsPerSecond float64 }
	}
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		return err
	}
	for _, r := range rows {
		if r.Workload == workload && r.In.RequestsPerSecond > 0 {
			return nil
		}
	}
	return fmt.Errorf("no requests to %s: %s", workload, out)
}

func graphShows(out, from, to string) error {
	var g struct {
		Edges []struct {
			From, To          struct{ Name string }
			RequestsPerSecond float64
			MutualTLS         float64
			P99Milliseconds   float64
		}
	}
	if err := json.Unmarshal([]byte(out), &g); err != nil {
		return err
	}
	for _, e := range g.Edges {
		if e.From.Name == from && e.To.Name == to && e.RequestsPerSecond > 0 && e.MutualTLS == 1 && e.P99Milliseconds > 0 {
			return nil
		}
	}
	return fmt.Errorf("no calls from %s to %s: %s", from, to, out)
}

// opensDashboard reads the page of Prometheus through a port-forward of meshctl.
func opensDashboard(t *testing.T, program string) {
	t.Helper()
	ctx := within(t, 2*time.Minute)
	command := exec.CommandContext(ctx, program, "dashboard", "prometheus", "--browser=false", "--kubeconfig", mesh.Kubeconfig)
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := command.StdoutPipe()
	must(t, err)
	must(t, command.Start())
	defer func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		if err := command.Wait(); err != nil {
			t.Errorf("the end of dashboard: %v", err)
		}
	}()
	url, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	reply, err := lab.Get(ctx, lab.Request{URL: strings.TrimSuffix(strings.TrimSpace(url), "/") + "/-/ready", Client: http.DefaultClient})
	if must(t, err); reply.Status != http.StatusOK {
		t.Errorf("%s: status %d", url, reply.Status)
	}
}
