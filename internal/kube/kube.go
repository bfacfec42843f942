// Package kube configures clients of the API server: in the cluster by the pod's service account, outside by a kubeconfig. Every
// role takes the same flags, so that each of them also runs on a developer's machine.
package kube

import (
	"fmt"
	"os"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/mesh-operator/mesh-operator/internal/owner"
	"github.com/mesh-operator/mesh-operator/internal/version"
)

// Flags say how to reach the API server and which namespace the role belongs to. Not to be copied.
type Flags struct {
	Kubeconfig string
	Namespace  string

	api acceptance
}

// CheckAPI fails while the API server refuses the credentials of the clients that were made with Config.
func (f *Flags) CheckAPI() error { return f.api.check() }

// Bind adds the flags; the namespace defaults to the pod's own, then to fallback.
func (f *Flags) Bind(fs *pflag.FlagSet, fallback string) {
	if ns := os.Getenv("POD_NAMESPACE"); ns != "" {
		fallback = ns
	}
	fs.StringVar(&f.Kubeconfig, "kubeconfig", "", "path of a kubeconfig; empty: the pod's service account")
	fs.StringVar(&f.Namespace, "namespace", fallback, "namespace the role belongs to")
}

// BindMesh is Bind for the roles of the control plane.
func (f *Flags) BindMesh(fs *pflag.FlagSet) { f.Bind(fs, owner.MeshNamespace) }

// Config returns a client configuration with this product's user agent and client-side limits for background work, whose
// requests have no deadline.
func (f *Flags) Config(role string) (*rest.Config, error) {
	config, err := f.load()
	if err != nil {
		return nil, fmt.Errorf("load API server configuration: %w", err)
	}
	config.UserAgent = role + "/" + version.Version
	config.QPS, config.Burst = 100, 200
	config.Wrap(f.api.wrap)
	return config, nil
}

// Unlimited returns config without client-side limits, for requests with deadlines and a bound of their own: a queue of
// requests that time out just before they are sent finishes none. The API server is fair to other clients.
func Unlimited(config *rest.Config) *rest.Config {
	unlimited := rest.CopyConfig(config)
	unlimited.QPS, unlimited.Burst = -1, 0
	return unlimited
}

func (f *Flags) load() (*rest.Config, error) {
	if f.Kubeconfig == "" {
		return rest.InClusterConfig()
	}
	return clientcmd.BuildConfigFromFlags("", f.Kubeconfig)
}
