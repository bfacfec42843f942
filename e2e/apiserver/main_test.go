package apiserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/mesh-operator/mesh-operator/controllers/installation"
	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// server is the API server that all tests share, one after another.
var server *Server

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctx, cancel := context.WithCancel(context.Background())
	err := func() (err error) {
		starting, cancel := context.WithTimeout(ctx, 6*time.Minute)
		defer cancel()
		server, err = Start(starting)
		return err
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		cancel()
		return 1
	}
	defer func() {
		cancel()
		if err := server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	node, err := NewFakeNode(server.Client)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go node.Run(ctx)
	return m.Run()
}

func timeout(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), lab.Slack*limit)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// operator is a Deployment of one operator: when a process ends, the next one starts.
type operator struct {
	stop context.CancelFunc
	done chan struct{}

	mu        sync.Mutex
	transport *Transport
}

// startOperator starts an operator with the permissions of the real one. Each process of it gets its wire from next. It ends with
// the test, or earlier by end.
func startOperator(t *testing.T, next func() *Transport) *operator {
	t.Helper()
	return startOperatorWith(t, next, desired.Components())
}

// startOperatorWith starts an operator that knows these components.
func startOperatorWith(t *testing.T, next func() *Transport, catalog desired.Catalog) *operator {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	o := &operator{stop: stop, done: make(chan struct{})}
	o.transport = next()
	go func() {
		defer close(o.done)
		for ctx.Err() == nil {
			runOperator(ctx, o.current(), catalog)
			o.mu.Lock()
			o.transport = next()
			o.mu.Unlock()
		}
	}()
	t.Cleanup(o.end)
	return o
}

// current returns the wire of the process that runs.
func (o *operator) current() *Transport {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.transport
}

// runOperator is the life of one process of the operator: it ends with ctx, by itself, or when the wire kills it.
func runOperator(ctx context.Context, transport *Transport, catalog desired.Catalog) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-transport.Killed:
			stop()
		case <-ctx.Done():
		}
	}()
	config := rest.CopyConfig(server.Config)
	config.QPS = -1
	config.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:istio-operator:istio-operator",
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:istio-operator", "system:authenticated"},
	}
	config.Wrap(transport.Wrap)
	_ = installation.Run(ctx, installation.Options{ // what it could not do shows in the cluster
		Config: config, Logger: slog.New(slog.DiscardHandler), Catalog: catalog,
		Images: testImages(),
	})
}

// testImages are the images of the operator.
func testImages() desired.ImageDefaults {
	return desired.ImageDefaults{BuiltIn: desired.Images{
		desired.OperatorImage: "registry.example/mesh-operator:1", desired.ProxyImage: "registry.example/proxyv2:1",
		desired.PrometheusImage: "registry.example/prometheus:1", desired.JaegerImage: "registry.example/jaeger:1",
		desired.ElasticsearchImage: "registry.example/opensearch:1", desired.IndexCleanerImage: "registry.example/jaeger-es-index-cleaner:1",
		desired.GrafanaImage: "registry.example/grafana:1", "throwaway": "registry.example/throwaway:1",
	}}
}

// end stops the operator and waits until it has.
func (o *operator) end() {
	o.stop()
	<-o.done
}

// noFaults is a wire that never breaks.
func noFaults() *Transport { return NewWire(nil) }

func installations() dynamic.ResourceInterface {
	return server.Dynamic.Resource(lab.InstallationResource).Namespace("istio-operator")
}

// create creates the Installation with this spec. Without sections for Jaeger and Grafana it has none, which saves each test a third of
// the writes.
func create(t *testing.T, spec map[string]any) {
	t.Helper()
	spec = maps.Clone(spec)
	if spec == nil {
		spec = map[string]any{}
	}
	for _, addon := range []string{"jaeger", "grafana"} {
		if _, given := spec[addon]; !given {
			spec[addon] = map[string]any{"enabled": false}
		}
	}
	in := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "istio.openshift.com/v1alpha1", "kind": "Installation"}}
	in.SetName("istio-installation")
	in.Object["spec"] = spec
	_, err := installations().Create(timeout(t, 10*time.Second), in, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
	must(t, err)
}

// change merges patch into the Installation.
func change(t *testing.T, patch string) {
	t.Helper()
	_, err := installations().Patch(timeout(t, 10*time.Second), "istio-installation", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	must(t, err)
}

func waitReady(t *testing.T, limit time.Duration) {
	t.Helper()
	must(t, server.InstallationReady(timeout(t, limit)))
}

func remove(t *testing.T) {
	t.Helper()
	must(t, installations().Delete(timeout(t, 10*time.Second), "istio-installation", metav1.DeleteOptions{}))
}

func waitGone(t *testing.T, limit time.Duration) {
	t.Helper()
	must(t, installationGone(timeout(t, limit)))
}

func installationGone(ctx context.Context) error {
	return lab.Gone(ctx, "the Installation", func(ctx context.Context) error {
		in, err := server.Installation(ctx)
		if err == nil {
			_, reason := lab.Condition(in, "Ready")
			return fmt.Errorf("it still exists: %s", reason)
		}
		return err
	})
}

// cleanUp removes what a failed test has left.
func cleanUp(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), lab.Slack*3*time.Minute)
		defer cancel()
		if _, err := server.Installation(ctx); err != nil {
			return
		}
		_ = installations().Delete(ctx, "istio-installation", metav1.DeleteOptions{})
		o := startOperator(t, noFaults)
		if err := installationGone(ctx); err != nil {
			t.Error(errors.Join(errors.New("clean up"), err))
		}
		o.end()
	})
}
