package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/mesh-operator/mesh-operator/e2e/cluster/netns"
	"github.com/mesh-operator/mesh-operator/e2e/cluster/state"
)

// failure is an error with the component that caused it.
type failure struct {
	component string
	cause     error
}

func (f *failure) Error() string { return f.component + ": " + f.cause.Error() }
func (f *failure) Unwrap() error { return f.cause }

// phase is a set of components that start together once everything before them is ready.
type phase struct {
	start []string
	ready []probe
}

// probe checks that a component is ready. It is repeated until it succeeds or its timeout has passed.
type probe struct {
	component string
	timeout   time.Duration
	check     func(ctx context.Context) error
}

// phases is the order of a start. The API server exits without etcd; the controllers miss the RBAC bootstrap when they start before
// /readyz; DNS needs the API server.
func (d *daemon) phases() []phase {
	return []phase{
		{
			start: []string{"etcd", "containerd"},
			ready: []probe{
				{"etcd", 30 * time.Second, d.reachable("127.0.0.1:2379")},
				{"containerd", 30 * time.Second, d.containerdAnswers},
			},
		},
		{
			start: []string{"kube-apiserver"},
			ready: []probe{{"kube-apiserver", 90 * time.Second, d.apiServerReady}},
		},
		{
			start: []string{"kubelet", "kube-controller-manager", "kube-scheduler", "kube-proxy"},
			ready: []probe{{"kube-apiserver", 30 * time.Second, d.applyBasics}},
		},
		{
			start: []string{"coredns"},
			ready: []probe{
				{"containerd", 60 * time.Second, d.importPause},
				{"kube-proxy", 60 * time.Second, d.httpOK("http://127.0.0.1:10256/healthz")},
				{"kube-scheduler", 60 * time.Second, d.reachable("127.0.0.1:10259")},
				{"kube-controller-manager", 60 * time.Second, d.defaultAccountExists},
				{"coredns", 60 * time.Second, d.dnsAnswers},
				{"kubelet", 90 * time.Second, d.nodeReady},
			},
		},
	}
}

// startAll starts the node phase by phase.
func (d *daemon) startAll(ctx context.Context) error {
	for _, phase := range d.phases() {
		for _, name := range phase.start {
			if err := d.supervisor.start(ctx, d.components[name]); err != nil {
				return &failure{name, err}
			}
		}
		for _, probe := range phase.ready {
			if err := d.await(ctx, probe); err != nil {
				return &failure{probe.component, err}
			}
			d.supervisor.ready(probe.component)
		}
	}
	return nil
}

func (d *daemon) await(ctx context.Context, p probe) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	for {
		err := p.check(ctx)
		if err == nil {
			return nil
		}
		select {
		case exit := <-d.supervisor.died:
			return &failure{exit.component, fmt.Errorf("ended during the start: %w", exit.reason)}
		case <-ctx.Done():
			return fmt.Errorf("not ready after %s: %w", p.timeout, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// culprit finds the component in an error of startAll: the one that ended rather than the one that was waited for.
func culprit(err error) string {
	name := ""
	for f := (*failure)(nil); errors.As(err, &f); err = f.cause {
		name = f.component
	}
	return name
}

func (d *daemon) dial(ctx context.Context, network, address string) (net.Conn, error) {
	return netns.Dial(ctx, d.network, network, address)
}

func (d *daemon) reachable(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := d.dial(ctx, "tcp", address)
		if err == nil {
			conn.Close()
		}
		return err
	}
}

func (d *daemon) httpOK(url string) func(context.Context) error {
	client := &http.Client{Transport: &http.Transport{DialContext: d.dial, DisableKeepAlives: true}}
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("get %s: %s", url, response.Status)
		}
		return nil
	}
}

func (d *daemon) containerdAnswers(ctx context.Context) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err == nil {
		conn.Close()
	}
	return err
}

func (d *daemon) apiServerReady(ctx context.Context) error {
	return d.client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
}

func (d *daemon) importPause(ctx context.Context) error {
	command := Import(d.spec.Artifacts, socket, d.spec.Artifacts.Pause)
	output, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("import pause image: %w: %s", err, output)
	}
	return nil
}

// Import is the command that loads an image archive through a containerd socket.
func Import(artifacts state.Artifacts, socket, archive string) []string {
	return []string{artifacts.Debian + "/usr/bin/ctr", "--address", socket, "--namespace", "k8s.io", "images", "import", archive}
}

func (d *daemon) defaultAccountExists(ctx context.Context) error {
	_, err := d.client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
	return err
}

func (d *daemon) dnsAnswers(ctx context.Context) error {
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return d.dial(ctx, "udp", net.JoinHostPort(netns.Default.DNS, "53"))
	}}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := resolver.LookupHost(ctx, "kubernetes.default.svc.cluster.local.")
	return err
}

func (d *daemon) nodeReady(ctx context.Context) error {
	node, err := d.client.CoreV1().Nodes().Get(ctx, nodeName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
			return nil
		} else if c.Type == corev1.NodeReady {
			err = errors.New(c.Message)
		}
	}
	return errors.Join(errors.New("node is not ready"), err)
}

func (d *daemon) newClient() (*kubernetes.Clientset, error) {
	config, err := d.clientConfig()
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}
