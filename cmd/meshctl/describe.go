package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/mesh-operator/mesh-operator/cmd/meshctl/describe"
	"github.com/mesh-operator/mesh-operator/internal/owner"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/source"
)

// describeCommand is the command's input.
type describeCommand struct {
	streams
	kubeconfig, namespace string
	timeout               time.Duration
}

func newDescribeCommand(s streams) *cobra.Command {
	c := &describeCommand{streams: s}
	cmd := &cobra.Command{
		Use:   "describe pod|service NAME",
		Short: "Say in words which rules apply to a pod or a Service",
		Long: "Say in words which rules apply to a pod: whether it has a sidecar and whether that is in step with pilot, what each port\n" +
			"admits, how VirtualServices and DestinationRules lead what it sends, what it reports; or to a Service: how its callers\n" +
			"reach it, and which gateways expose it. Problems that pilot finds with these objects are at the end.\n\n" +
			"It computes what pilot computes, from the same objects, and takes the right to list them: those of Istio, Services,\n" +
			"EndpointSlices and pods everywhere, and ConfigMaps and Secrets in istio-system.",
		Example: "  meshctl describe pod reviews-v1-5f4b9d7c8-abcde -n bookinfo\n  meshctl describe service reviews -n bookinfo",
		Args:    cobra.ArbitraryArgs,
		RunE:    func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&c.namespace, "namespace", "n", "default", "namespace of the pod or Service")
	flags.StringVar(&c.kubeconfig, "kubeconfig", "", "kubeconfig; default: $KUBECONFIG, then ~/.kube/config")
	flags.DurationVar(&c.timeout, "timeout", 30*time.Second, "how long to wait for the objects")
	return cmd
}

// describedKinds are the kinds by the names that users write.
var describedKinds = map[string]string{"pod": "pod", "pods": "pod", "po": "pod", "service": "service", "services": "service", "svc": "service"}

func (c *describeCommand) run(ctx context.Context, args []string) error {
	if len(args) == 1 {
		args = strings.SplitN(args[0], "/", 2)
	}
	if len(args) != 2 || describedKinds[args[0]] == "" {
		return hint(errors.New("no pod or Service is named"), "write meshctl describe pod NAME or meshctl describe service NAME, with -n NAMESPACE")
	}
	config, client, err := connect(c.kubeconfig)
	if err != nil {
		return hint(err, "name one with --kubeconfig")
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	snapshot, err := readSnapshot(ctx, config)
	if err != nil {
		return hint(err, "it takes the right to list these objects; --timeout waits longer")
	}
	kind, name := describedKinds[args[0]], args[1]
	var text string
	var found bool
	if kind == "pod" {
		text, found = describe.Pod(snapshot, c.namespace, name, c.syncState(ctx, config, client, name))
	} else {
		text, found = describe.Service(snapshot, c.namespace, name)
	}
	if !found {
		return hint(fmt.Errorf("namespace %s has no %s %s", printable(c.namespace), kind, printable(name)), "name its namespace with -n; pods that have ended are not described")
	}
	_, err = io.WriteString(c.out, text)
	return err
}

// readSnapshot reads what pilot reads, once.
func readSnapshot(ctx context.Context, config *rest.Config) (*mesh.Snapshot, error) {
	kube, dynamic, err := source.Clients(config)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	inputs := make(chan mesh.Inputs, 1)
	s := source.New(source.Options{
		Kubernetes: kube, Dynamic: dynamic, MeshNamespace: owner.MeshNamespace, Logger: slog.New(slog.DiscardHandler),
		Publish: func(in mesh.Inputs) {
			select {
			case inputs <- in:
			default: // the first is enough
			}
		},
	})
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	select {
	case in := <-inputs:
		stop()
		<-done
		return mesh.Build(nil, in), nil
	case <-ctx.Done():
		missing := s.CheckReady()
		<-done
		return nil, fmt.Errorf("read the mesh: %w", cmp.Or(missing, ctx.Err()))
	}
}

// proxySync is what of an element of pilot's /debug/syncz is used.
type proxySync struct {
	Proxy string `json:"proxy"`
	Error string `json:"internal_error"`
	Types map[string]struct {
		Behind   int    `json:"behind"`
		Rejected string `json:"rejected"`
	} `json:"types"`
}

// syncState says where a pod's proxy stands. Which pilot it is connected to is not known, so all of them are asked.
func (c *describeCommand) syncState(ctx context.Context, config *rest.Config, client kubernetes.Interface, pod string) string {
	pilots, err := client.CoreV1().Pods(owner.MeshNamespace).List(ctx, metav1.ListOptions{LabelSelector: owner.LabelComponent + "=pilot"})
	if err != nil {
		return "not known to be in step with pilot: " + err.Error()
	}
	var errs []error
	for i := range pilots.Items {
		if !isReady(&pilots.Items[i]) {
			continue
		}
		proxies, err := readSync(ctx, config, client, pilots.Items[i].Name)
		if err != nil {
			errs = append(errs, err)
		}
		for _, p := range proxies {
			if p.Proxy == pod+"."+c.namespace {
				return p.String()
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return "not known to be in step with pilot: " + err.Error()
	}
	return "not connected to pilot"
}

func readSync(ctx context.Context, config *rest.Config, client kubernetes.Interface, pilot string) ([]proxySync, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	forwarder, _, err := startForward(ctx, config, client, forwardTarget{owner.MeshNamespace, pilot, 15014}, 0)
	if err != nil {
		return nil, err
	}
	ports, err := forwarder.GetPorts()
	if err != nil {
		return nil, fmt.Errorf("forward a port: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/debug/syncz", ports[0].Local), nil)
	if err != nil {
		return nil, fmt.Errorf("ask pilot: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask pilot: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask pilot: %s", response.Status)
	}
	var proxies []proxySync
	if err := json.NewDecoder(response.Body).Decode(&proxies); err != nil {
		return nil, fmt.Errorf("ask pilot: decode the answer: %w", err)
	}
	return proxies, nil
}

// String is the state in words.
func (p proxySync) String() string {
	if p.Error != "" {
		return "not in step with pilot: " + p.Error
	}
	behind := 0
	for _, kind := range slices.Sorted(maps.Keys(p.Types)) {
		if reason := p.Types[kind].Rejected; reason != "" {
			return "its Envoy has rejected " + kind + ": " + reason
		}
		behind += p.Types[kind].Behind
	}
	if behind > 0 {
		return fmt.Sprintf("connected to pilot, which has %d changes to send", behind)
	}
	return "in step with pilot"
}
