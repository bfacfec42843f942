package apiserver

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/mesh-operator/mesh-operator/controllers/installation"
	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// TestInstalledByOLM installs from the bundle alone, into a namespace of OLM's choice, with an operator that has the token of the
// account that OLM makes and starts before the definition exists. Uninstalling the operator first changes nothing of the mesh, and
// what is installed again goes on where the first one ended.
func TestInstalledByOLM(t *testing.T) {
	s, err := StartEmpty(timeout(t, 6*time.Minute), "apiserver-olm")
	must(t, err)
	t.Cleanup(func() { must(t, s.Stop()) }) // after the operator has ended, whose watches it would wait for
	node, err := NewFakeNode(s.Client)
	must(t, err)
	go node.Run(t.Context())
	must(t, s.Apply(timeout(t, time.Minute), "", "{apiVersion: v1, kind: Namespace, metadata: {name: operators}}"))
	o, err := readBundle(s, "operators")
	must(t, err)
	must(t, o.install(timeout(t, time.Minute)))
	process := startFromBundle(t, o)
	process.waitAnswer(t, http.StatusNotFound, "/apis/istio.openshift.com") // it has started, and does not find the definition
	must(t, o.define(timeout(t, 2*time.Minute)))

	resource := s.Dynamic.Resource(lab.InstallationResource).Namespace("operators")
	spec := map[string]any{"jaeger": map[string]any{"enabled": false}}
	in := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "istio.openshift.com/v1alpha1", "kind": "Installation", "spec": spec}}
	in.SetName("istio-installation")
	_, err = resource.Create(timeout(t, time.Minute), in, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
	must(t, err)
	must(t, ready(timeout(t, 3*time.Minute), resource))
	checkConfined(t, s)

	before := meshObjects(t, s)
	uninstallFirst(t, o, process)
	if diff := cmp.Diff(before, meshObjects(t, s)); diff != "" {
		t.Errorf("uninstalling the operator changed the mesh (-before +after):\n%s", diff)
	}
	must(t, o.install(timeout(t, time.Minute)))
	_, err = resource.Patch(timeout(t, time.Minute), "istio-installation", types.MergePatchType, []byte(`{"spec": {"gateways": [{"name": "third"}]}}`), metav1.PatchOptions{})
	must(t, err)
	must(t, ready(timeout(t, 3*time.Minute), resource))
	if _, err := s.Client.AppsV1().Deployments("istio-system").Get(timeout(t, time.Minute), "third", metav1.GetOptions{}); err != nil {
		t.Errorf("the operator that was installed again does not follow: %v", err)
	}
	must(t, resource.Delete(timeout(t, time.Minute), "istio-installation", metav1.DeleteOptions{}))
	must(t, lab.Gone(timeout(t, 3*time.Minute), "the Installation", func(ctx context.Context) error {
		in, err := resource.Get(ctx, "istio-installation", metav1.GetOptions{})
		if err == nil {
			_, reason := lab.Condition(in, "Ready")
			return fmt.Errorf("it still exists: %s", reason)
		}
		return err
	}))
}

// checkConfined: the policy that OLM cannot apply is there, and about the account in OLM's namespace.
func checkConfined(t *testing.T, s *Server) {
	t.Helper()
	policy, err := s.Client.AdmissionregistrationV1().ValidatingAdmissionPolicies().Get(timeout(t, time.Minute), "istio-operator-confinement", metav1.GetOptions{})
	must(t, err)
	if got := policy.Spec.MatchConditions[0].Expression; !strings.Contains(got, "'system:serviceaccount:operators:istio-operator'") {
		t.Errorf("the policy confines %s", got)
	}
}

// uninstallFirst does what OLM does when its user uninstalls the operator while the mesh is installed: the API server refuses the
// deletion of the Deployment and the account, the roles are deleted, and the operator that goes on can do nothing.
func uninstallFirst(t *testing.T, o *olm, process *process) {
	t.Helper()
	ctx := timeout(t, 2*time.Minute)
	for what, err := range map[string]error{
		"Deployment":     o.server.Client.AppsV1().Deployments(o.namespace).Delete(ctx, "istio-operator", metav1.DeleteOptions{}),
		"ServiceAccount": o.server.Client.CoreV1().ServiceAccounts(o.namespace).Delete(ctx, "istio-operator", metav1.DeleteOptions{}),
	} {
		if err == nil || !strings.Contains(err.Error(), "the mesh is still installed; remove it first: kubectl delete -n operators installation istio-installation") {
			t.Errorf("delete %s: %v", what, err)
		}
	}
	roles, err := o.permissions()
	must(t, err)
	must(t, o.server.DeleteObjects(ctx, o.namespace, roles))
	process.restart()
	process.waitAnswer(t, http.StatusForbidden, "")
}

func ready(ctx context.Context, resource dynamic.ResourceInterface) error {
	return lab.Until(ctx, "the Installation is Ready", func(ctx context.Context) error {
		in, err := resource.Get(ctx, "istio-installation", metav1.GetOptions{})
		if err != nil {
			return err
		}
		status, reason := lab.Condition(in, "Ready")
		if observed, _, _ := unstructured.NestedInt64(in.Object, "status", "observedGeneration"); observed < in.GetGeneration() || status != "True" {
			return fmt.Errorf("condition Ready of generation %d is %q: %s", observed, status, reason)
		}
		return nil
	})
}

// meshObjects is everything but what OLM and Kubernetes themselves change.
func meshObjects(t *testing.T, s *Server) Dump {
	t.Helper()
	dump, err := s.Dump(timeout(t, time.Minute))
	must(t, err)
	maps.DeleteFunc(dump, func(name, _ string) bool {
		return !strings.Contains(name, " istio-system/") && !strings.Contains(name, "webhook")
	})
	if len(dump) < 10 {
		t.Fatalf("the mesh has %d objects", len(dump))
	}
	return dump
}

// process is the operator of a bundle: one process after another, as its Deployment runs them. It sees what the API server answers.
type process struct {
	mu      sync.Mutex
	stop    context.CancelFunc
	answers []answer
}

type answer struct {
	status int
	path   string
}

// startFromBundle runs the operator with the token and the environment that the bundle gives it.
func startFromBundle(t *testing.T, o *olm) *process {
	t.Helper()
	ctx, end := context.WithCancel(context.Background())
	p, done := &process{}, make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			p.run(ctx, o)
		}
	}()
	t.Cleanup(func() { end(); <-done })
	return p
}

func (p *process) run(ctx context.Context, o *olm) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	p.mu.Lock()
	p.stop = stop
	p.mu.Unlock()
	config, err := o.config(ctx)
	if err != nil {
		return // the next process asks again
	}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &observed{p, next} })
	_ = installation.Run(ctx, installation.Options{ // what it could not do shows in the cluster
		Config: config, Namespace: o.namespace, Logger: slog.New(slog.DiscardHandler), LeaderElect: true,
		Images: desired.ImageDefaults{BuiltIn: desired.BuiltInImages(os.Getenv)},
	})
}

// observed is a connection whose answers a process remembers.
type observed struct {
	process *process
	next    http.RoundTripper
}

func (o *observed) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := o.next.RoundTrip(request)
	if err == nil {
		o.process.mu.Lock()
		o.process.answers = append(o.process.answers, answer{response.StatusCode, request.URL.Path})
		o.process.mu.Unlock()
	}
	return response, err
}

// restart ends the process, and forgets what it was answered.
func (p *process) restart() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stop()
	p.answers = nil
}

// waitAnswer waits until the API server has answered a request below a path with this status.
func (p *process) waitAnswer(t *testing.T, status int, path string) {
	t.Helper()
	must(t, lab.Until(timeout(t, 2*time.Minute), fmt.Sprintf("the operator is answered %d below %s", status, path), func(context.Context) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if slices.ContainsFunc(p.answers, func(a answer) bool { return a.status == status && strings.HasPrefix(a.path, path) }) {
			return nil
		}
		return fmt.Errorf("none of %d answers", len(p.answers))
	}))
}
