package lab

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"time"

	"k8s.io/client-go/tools/clientcmd"
)

// Existing connects to a cluster that the local cluster's command did not boot: the current context of the user's kubeconfig
// ($KUBECONFIG, else ~/.kube/config). kubectl is the command to run for kubectl, words separated by spaces.
func Existing(kubectl string) (*Lab, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	command := strings.Fields(kubectl)
	if len(command) == 0 {
		command = []string{"kubectl"}
	}
	if _, err := exec.LookPath(command[0]); err != nil {
		return nil, fmt.Errorf("find kubectl: %w (an existing cluster is driven with your own: install it, or set KUBECTL=oc)", err)
	}
	loading := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(clientcmd.NewDefaultClientConfigLoadingRules(), nil)
	raw, err := loading.RawConfig()
	if err != nil {
		return nil, fmt.Errorf("load kubeconfig: %w", err)
	}
	config, err := loading.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("load kubeconfig: %w (set KUBECONFIG to the cluster's)", err)
	}
	l := &Lab{Name: raw.CurrentContext, Root: root, Kubeconfig: loading.ConfigAccess().GetDefaultFilename(), kubectl: command}
	return l, l.connect(config)
}

// ThroughPod returns an HTTP client that connects to one port of a pod through the API server: it reaches a gateway also when no
// load balancer or node port is reachable.
func (l *Lab) ThroughPod(namespace, selector string, port int) *http.Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		pod, err := l.RunningPod(ctx, namespace, selector)
		if err != nil {
			return nil, err
		}
		return l.DialPod(ctx, pod, port)
	}
	return &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 1}, CheckRedirect: noRedirect}
}
