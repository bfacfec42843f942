// Package node is a cluster's background process. It runs in the host's network namespace, in a mount namespace of its own
// and in the cluster's control group; it starts and supervises Kubernetes inside the cluster's network namespace, provisions
// volumes, assigns addresses to load balancers, and forwards ports of 127.0.0.1 into the cluster.
package node

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/mesh-operator/mesh-operator/e2e/cluster/cgroup"
	"github.com/mesh-operator/mesh-operator/e2e/cluster/ingress"
	"github.com/mesh-operator/mesh-operator/e2e/cluster/netns"
	"github.com/mesh-operator/mesh-operator/e2e/cluster/state"
)

// firstAPIPort is the first port of 127.0.0.1 that the forwarder tries for the API server.
const firstAPIPort = 16443

type daemon struct {
	layout     state.Layout
	spec       state.Spec
	network    string
	keepOpen   *os.File // of network; never closed; the field keeps it from being collected
	components map[string]component
	supervisor *supervisor
	client     *kubernetes.Clientset
	forwarder  *ingress.Forwarder
	log        *slog.Logger
}

// Run serves one cluster until it is killed. groupName names its control group and its network namespace.
func Run(ctx context.Context, layout state.Layout, groupName string, log *slog.Logger) error {
	group, err := cgroup.New(groupName)
	if err != nil {
		return err
	}
	if err := group.Join(); err != nil {
		return err
	}
	d := &daemon{layout: layout, network: netns.Path(groupName), log: log}
	if err := state.Read(layout.Spec(), &d.spec); err != nil {
		return fmt.Errorf("read cluster's specification: %w", err)
	}
	if err := d.openNetwork(); err != nil {
		return err
	}
	self, err := state.FindProcess(os.Getpid())
	if err != nil {
		return fmt.Errorf("find own process: %w", err)
	}
	d.supervisor = newSupervisor(layout, d.network, state.State{
		Name: d.spec.Name, Phase: state.Starting, Daemon: self, Network: netns.Path(groupName),
	}, log)
	if err := d.serve(ctx, group.Root()); err != nil {
		d.supervisor.giveUp(culprit(err), err)
		return err
	}
	<-ctx.Done()
	return nil
}

// openNetwork keeps the namespace open by a descriptor: its name lies in /run, which the node does not share.
func (d *daemon) openNetwork() error {
	file, err := os.Open(d.network)
	if err != nil {
		return fmt.Errorf("open network namespace: %w", err)
	}
	d.network = fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), file.Fd())
	d.keepOpen = file
	return nil
}

func (d *daemon) serve(ctx context.Context, cgroupRoot string) error {
	if err := isolateView(d.layout, d.spec.Artifacts.Cache); err != nil {
		return err
	}
	settings := newSettings(d.layout, d.spec, cgroupRoot)
	if err := d.prepare(settings); err != nil {
		return err
	}
	d.components = components(d.layout, d.spec, settings)
	if err := d.forwardAPI(); err != nil {
		return err
	}
	if err := d.serveRegistry(); err != nil {
		return err
	}
	if err := d.startAll(ctx); err != nil {
		return err
	}
	if err := ingress.Run(ctx, ingress.Options{
		Client: d.client, Pool: netns.Default.LoadBalancers, Forwarder: d.forwarder, Log: d.log, Changed: d.urlsChanged,
	}); err != nil {
		return fmt.Errorf("start forwarder: %w", err)
	}
	go d.provisionVolumes(ctx)
	d.supervisor.update(func(s *state.State) {
		if s.Phase == state.Starting {
			s.Phase = state.Ready
		}
	})
	d.log.Info("cluster started")
	return nil
}

func (d *daemon) prepare(s settings) error {
	for _, dir := range []string{d.layout.Logs(), d.layout.Data(), filepath.Join(d.layout.Dir(), "tmp")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("prepare cluster's folder: %w", err)
		}
	}
	if err := os.WriteFile(s.Hosts, nil, 0o644); err != nil {
		return fmt.Errorf("prepare cluster's folder: %w", err)
	}
	if err := writeConfigs(s); err != nil {
		return err
	}
	if err := writePKI(s.PKI, apiAddress(), s.Network); err != nil {
		return err
	}
	var err error
	if d.client, err = d.newClient(); err != nil {
		return fmt.Errorf("create API client: %w", err)
	}
	return nil
}

func apiAddress() string { return "https://" + net.JoinHostPort(netns.Default.Node, "6443") }

func (d *daemon) clientConfig() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(d.layout.PKI(), "cluster.kubeconfig"))
	if err != nil {
		return nil, err
	}
	config.Dial, config.UserAgent = d.dial, "cluster"
	return config, nil
}

// forwardAPI opens the API server's port on the host and writes the kubeconfig that goes with it.
func (d *daemon) forwardAPI() error {
	d.forwarder = &ingress.Forwarder{Dial: d.dial, Node: netns.Default.Node, Log: d.log}
	address, err := d.forwarder.OpenFrom(firstAPIPort, net.JoinHostPort(netns.Default.Node, "6443"))
	if err != nil {
		return fmt.Errorf("forward API server: %w", err)
	}
	url := "https://" + address
	d.supervisor.update(func(s *state.State) { s.APIServer = url })
	return writeKubeconfig(d.layout.Kubeconfig(), d.layout.PKI(), "admin", d.spec.Name, url)
}

func (d *daemon) urlsChanged(urls []state.URL) {
	d.supervisor.update(func(s *state.State) { s.URLs = urls })
}
