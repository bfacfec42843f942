// Package lab drives a Kubernetes cluster for the demo and the end-to-end scenarios: it loads images, applies files, runs
// commands in pods, sends requests through the forwarded addresses, and waits for a state with the reason when it does not come.
package lab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
)

// Lab is one running cluster and the clients that talk to it.
type Lab struct {
	Name       string // of the local cluster; of the kubeconfig's context when the cluster is not ours
	Root       string // the repository's top folder
	Kubeconfig string
	Config     *rest.Config
	Client     kubernetes.Interface
	Dynamic    dynamic.Interface
	Mapper     meta.ResettableRESTMapper

	kubectl []string // the command that runs kubectl
}

// Open connects to the running cluster of that name.
func Open(ctx context.Context, name string) (*Lab, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	l := &Lab{Name: name, Root: root}
	path, err := l.Cluster(ctx, "kubeconfig", "--name", name)
	if err != nil {
		return nil, err
	}
	l.Kubeconfig = strings.TrimSpace(path)
	l.kubectl = []string{filepath.Join(root, ".bin", "cluster"), "kubectl", "--name", name, "--"}
	config, err := clientcmd.BuildConfigFromFlags("", l.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("load kubeconfig of cluster %s: %w", l.Name, err)
	}
	return l, l.connect(config)
}

// Connect returns a Lab for an API server that has no cluster around it: what needs kubectl or a node does not work there.
func Connect(root string, config *rest.Config) (*Lab, error) {
	l := &Lab{Name: config.Host, Root: root}
	return l, l.connect(config)
}

func (l *Lab) connect(config *rest.Config) (err error) {
	config.QPS, config.Burst = 100, 200
	config.WarningHandler = rest.NoWarnings{} // TryCreate and TryUpdate return them
	l.Config = config
	if l.Client, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	if l.Dynamic, err = dynamic.NewForConfig(config); err != nil {
		return err
	}
	disco, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return err
	}
	l.Mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(disco))
	return nil
}

// Root finds the repository's top folder from the working directory upwards.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "charts")); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("find the repository: run this inside a clone of it")
}

// Cluster runs the local cluster's command and returns its standard output.
func (l *Lab) Cluster(ctx context.Context, args ...string) (string, error) {
	return Run(ctx, l.Root, filepath.Join(l.Root, ".bin", "cluster"), args...)
}

// Kubectl runs kubectl against the cluster from the repository's top folder.
func (l *Lab) Kubectl(ctx context.Context, args ...string) (string, error) {
	return Run(ctx, l.Root, l.kubectl[0], append(l.kubectl[1:len(l.kubectl):len(l.kubectl)], args...)...)
}

// Run runs a command and returns its standard output; the error carries the end of its standard error.
func Run(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("run %s %s: %w: %s", filepath.Base(name), strings.Join(args, " "), err, tail(stderr.String(), 2000))
	}
	return stdout.String(), nil
}

func tail(s string, n int) string {
	s = strings.TrimSpace(s)
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}
