package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"

	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// page is a component's page in a browser.
type page struct {
	name    string
	service string // in the mesh's namespace; its pods are the component's
	port    int32  // of the Service; of the pod where the Service has no such port
	scheme  string // empty: http
	path    string
	section string // of the Installation that installs it
}

// pages is the table of components with a page.
var pages = []page{
	{name: "prometheus", service: prometheusService, port: 9090, path: "/", section: "spec.prometheus"},
	{name: "jaeger", service: "jaeger-query", port: 16686, path: "/", section: "spec.jaeger"},
	{name: "grafana", service: "grafana", port: 3000, path: "/", section: "spec.grafana"},
	{name: "kiali", service: "kiali", port: 20001, scheme: "https", path: "/kiali", section: "spec.kiali"},
	{name: "pilot", service: "istio-pilot", port: 15014, path: "/debug/syncz", section: "spec.components.pilot"},
	{name: "citadel", service: "istio-citadel", port: 15014, path: "/metrics", section: "spec.components.citadel"},
	{name: "galley", service: "istio-galley", port: 15014, path: "/metrics", section: "spec.components.galley"},
	{name: "injector", service: "istio-sidecar-injector", port: 15014, path: "/metrics", section: "spec.components.sidecarInjector"},
}

// envoyPage is the administration page of a pod's proxy, which listens on the pod's loopback.
var envoyPage = page{name: "envoy", port: 15000, path: "/"}

// dashboardCommand is the command's input.
type dashboardCommand struct {
	streams
	kubeconfig, namespace string
	port                  int
	browser               bool
}

func newDashboardCommand(s streams) *cobra.Command {
	c := &dashboardCommand{streams: s}
	cmd := &cobra.Command{
		Use:   "dashboard NAME [POD]",
		Short: "Open the page of a component: " + strings.Join(pageNames(), ", "),
		Long: "Forward a port of this machine to the page of a component, print its address and open it in a browser, until you\n" +
			"interrupt it. The page of envoy is that of the proxy of a pod.\n\n" +
			"It takes the right to get the component's Service and to create pods/portforward.",
		Example: "  meshctl dashboard prometheus\n  meshctl dashboard envoy productpage-v1-7d6f8b9c5-x2v4z -n bookinfo\n  meshctl dashboard pilot --browser=false --port 8080",
		Args:    cobra.ArbitraryArgs,
		RunE:    func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&c.namespace, "namespace", "n", "default", "namespace of the pod of envoy")
	flags.StringVar(&c.kubeconfig, "kubeconfig", "", "kubeconfig; default: $KUBECONFIG, then ~/.kube/config")
	flags.IntVar(&c.port, "port", 0, "port of this machine; default: any that is free")
	flags.BoolVar(&c.browser, "browser", true, "open the page in a browser")
	return cmd
}

func pageNames() []string {
	names := []string{envoyPage.name}
	for _, p := range pages {
		names = append(names, p.name)
	}
	slices.Sort(names)
	return names
}

func (c *dashboardCommand) run(ctx context.Context, args []string) error {
	page, pod, err := chosenPage(args)
	if err != nil {
		return err
	}
	if c.port < 0 || c.port > 65535 {
		return hint(fmt.Errorf("port %d is out of range", c.port), "write --port 1 to --port 65535")
	}
	config, client, err := connect(c.kubeconfig)
	if err != nil {
		return hint(err, "name one with --kubeconfig")
	}
	target, err := c.target(ctx, client, page, pod)
	if err != nil {
		return err
	}
	return c.forward(ctx, config, client, page, target)
}

// chosenPage reads the arguments.
func chosenPage(args []string) (p page, pod string, err error) {
	names := "the pages are " + strings.Join(pageNames(), ", ")
	switch {
	case len(args) == 0:
		return p, "", hint(errors.New("no page is named"), "%s", names)
	case args[0] == envoyPage.name && len(args) == 2:
		return envoyPage, args[1], nil
	case args[0] == envoyPage.name:
		return p, "", hint(fmt.Errorf("%d pods are named, want one", len(args)-1), "write meshctl dashboard envoy POD -n NAMESPACE")
	case len(args) > 1:
		return p, "", hint(fmt.Errorf("%d arguments, want one page", len(args)), "%s", names)
	}
	i := slices.IndexFunc(pages, func(p page) bool { return p.name == args[0] })
	if i < 0 {
		return p, "", hint(fmt.Errorf("there is no page %q", args[0]), "%s", names)
	}
	return pages[i], "", nil
}

func (c *dashboardCommand) target(ctx context.Context, client kubernetes.Interface, p page, pod string) (forwardTarget, error) {
	if p.service == "" {
		return c.proxyTarget(ctx, client, p, pod)
	}
	service, err := client.CoreV1().Services(owner.MeshNamespace).Get(ctx, p.service, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return forwardTarget{}, hint(fmt.Errorf("%s is not installed: namespace %s has no Service %s", p.name, owner.MeshNamespace, p.service),
			"%s of the Installation installs it; installed are: %s", p.section, installedPages(ctx, client))
	}
	if err != nil {
		return forwardTarget{}, fmt.Errorf("get Service %s: %w", p.service, err)
	}
	list, err := client.CoreV1().Pods(owner.MeshNamespace).List(ctx, metav1.ListOptions{LabelSelector: labels.SelectorFromSet(service.Spec.Selector).String()})
	if err != nil {
		return forwardTarget{}, fmt.Errorf("list pods of Service %s: %w", p.service, err)
	}
	i := slices.IndexFunc(list.Items, func(pod corev1.Pod) bool { return isReady(&pod) })
	if i < 0 {
		return forwardTarget{}, hint(fmt.Errorf("%s is installed, and none of its %d pods is ready", p.name, len(list.Items)),
			"look at status.components of the Installation, and at kubectl get pods -n %s", owner.MeshNamespace)
	}
	return forwardTarget{owner.MeshNamespace, list.Items[i].Name, podPort(service, &list.Items[i], p.port)}, nil
}

// installedPages lists the pages whose Service exists.
func installedPages(ctx context.Context, client kubernetes.Interface) string {
	list, err := client.CoreV1().Services(owner.MeshNamespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return "unknown, " + printable(err.Error())
	}
	var names []string
	for _, p := range pages {
		if slices.ContainsFunc(list.Items, func(s corev1.Service) bool { return s.Name == p.service }) {
			names = append(names, p.name)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func (c *dashboardCommand) proxyTarget(ctx context.Context, client kubernetes.Interface, p page, name string) (forwardTarget, error) {
	pod, err := client.CoreV1().Pods(c.namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return forwardTarget{}, hint(fmt.Errorf("namespace %s has no pod %s", c.namespace, printable(name)), "name the pod's namespace with -n; kubectl get pods lists names")
	}
	if err != nil {
		return forwardTarget{}, fmt.Errorf("get pod %s: %w", printable(name), err)
	}
	if !hasProxy(pod) {
		return forwardTarget{}, hint(fmt.Errorf("pod %s has no running proxy", name), "pods get one in namespaces with the label istio-injection=enabled, when they are created")
	}
	return forwardTarget{pod.Namespace, pod.Name, p.port}, nil
}

func isReady(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// podPort is the pod's port behind a port of the Service, which may name it.
func podPort(service *corev1.Service, pod *corev1.Pod, port int32) int32 {
	i := slices.IndexFunc(service.Spec.Ports, func(p corev1.ServicePort) bool { return p.Port == port })
	if i < 0 {
		return port
	}
	target := service.Spec.Ports[i].TargetPort
	for _, container := range pod.Spec.Containers {
		for _, p := range container.Ports {
			if target.StrVal != "" && p.Name == target.StrVal {
				return p.ContainerPort
			}
		}
	}
	if target.IntVal != 0 {
		return target.IntVal
	}
	return port
}

// forward prints the page's address and serves it until ctx ends.
func (c *dashboardCommand) forward(ctx context.Context, config *rest.Config, client kubernetes.Interface, p page, target forwardTarget) error {
	forwarder, done, err := startForward(ctx, config, client, target, c.port)
	if err != nil {
		return hint(err, "it takes the right to create pods/portforward; --port names another port of this machine")
	}
	if err := c.announce(p, forwarder); err != nil {
		return err
	}
	err = <-done
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the user has ended the command
	}
	return hint(fmt.Errorf("forward a port to pod %s/%s: %w", target.namespace, target.pod, errors.Join(err, errors.New("the pod has ended"))), "start the command again")
}

func (c *dashboardCommand) announce(p page, forwarder *portforward.PortForwarder) error {
	ports, err := forwarder.GetPorts()
	if err != nil {
		return fmt.Errorf("forward a port: %w", err)
	}
	scheme := p.scheme
	if scheme == "" {
		scheme = "http"
	}
	url := fmt.Sprintf("%s://localhost:%d%s", scheme, ports[0].Local, p.path)
	if _, err := fmt.Fprintln(c.out, url); err != nil {
		return err
	}
	if c.browser {
		if err := openBrowser(url); err != nil {
			fmt.Fprintf(c.err, "meshctl: warning: no browser was opened: %s\n", err)
		}
	}
	return nil
}

// openBrowser starts what the system opens addresses with.
func openBrowser(url string) error {
	opener := map[string][]string{"darwin": {"open"}, "windows": {"rundll32", "url.dll,FileProtocolHandler"}}[runtime.GOOS]
	if opener == nil {
		opener = []string{"xdg-open"}
	}
	return exec.Command(opener[0], append(opener[1:], url)...).Start()
}
