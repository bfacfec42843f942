package injector

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/mesh-operator/mesh-operator/internal/names"
)

// rewrite is one probe or hook that the agent will do: the kubelet has no certificate, so under strict mutual TLS it cannot.
type rewrite struct {
	container string // JSON pointer of the container
	field     string // readinessProbe, lifecycle/postStart, ...
	handler   string // what the probe was: httpGet, tcpSocket or grpc
	path      string // at the agent
	prober    prober
}

// prober is what the agent does when the kubelet asks it.
type prober struct {
	HTTPGet        *corev1.HTTPGetAction   `json:"httpGet,omitempty"`
	TCPSocket      *corev1.TCPSocketAction `json:"tcpSocket,omitempty"`
	GRPC           *corev1.GRPCAction      `json:"grpc,omitempty"`
	TimeoutSeconds int32                   `json:"timeoutSeconds,omitempty"`
}

// rewriteProbes collects the probes of the pod's containers.
func (s *sidecar) rewriteProbes(pod *corev1.Pod) []string {
	var warnings []string
	visit := func(list []corev1.Container, pointer string) {
		for i, c := range list {
			if c.Name != proxyName {
				warnings = append(warnings, s.rewriteContainer(c, fmt.Sprintf("%s/%d", pointer, i))...)
			}
		}
	}
	visit(pod.Spec.InitContainers, "/spec/initContainers") // sidecars of the user's have probes too
	visit(pod.Spec.Containers, "/spec/containers")
	return warnings
}

func (s *sidecar) rewriteContainer(c corev1.Container, pointer string) []string {
	var warnings []string
	for _, p := range []struct {
		field, name string
		probe       *corev1.Probe
	}{
		{"readinessProbe", "readyz", c.ReadinessProbe},
		{"livenessProbe", "livez", c.LivenessProbe},
		{"startupProbe", "startupz", c.StartupProbe},
	} {
		handler, prober, err := proberOf(p.probe, c)
		if err != nil {
			warnings = append(warnings, fmt.Sprintf("container %s: %s: %v; it is left as it is", c.Name, p.field, err))
		}
		if handler != "" {
			path := "/app-health/" + c.Name + "/" + p.name
			s.probes = append(s.probes, rewrite{pointer, p.field, handler, path, prober})
		}
	}
	return append(warnings, s.rewriteHooks(c, pointer)...)
}

// rewriteHooks does the same with httpGet hooks. A hook changes something, and everybody may call the agent's port: the path has
// a secret that only those who may read the Pod know.
func (s *sidecar) rewriteHooks(c corev1.Container, pointer string) []string {
	if c.Lifecycle == nil {
		return nil
	}
	var warnings []string
	for _, h := range []struct {
		field, name string
		hook        *corev1.LifecycleHandler
	}{
		{"postStart", "poststart", c.Lifecycle.PostStart},
		{"preStop", "prestop", c.Lifecycle.PreStop},
	} {
		if h.hook == nil || h.hook.HTTPGet == nil {
			continue
		}
		handler, prober, err := proberOf(&corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: h.hook.HTTPGet}}, c)
		if err != nil {
			warnings = append(warnings, fmt.Sprintf("container %s: lifecycle.%s: %v; it is left as it is", c.Name, h.field, err))
		}
		if handler != "" {
			path := "/app-lifecycle/" + c.Name + "/" + h.name + "/" + s.token()
			s.probes = append(s.probes, rewrite{pointer, "lifecycle/" + h.field, handler, path, prober})
		}
	}
	return warnings
}

// proberOf returns the kind of a probe that the network decides, with its port as a number; "" for every other.
func proberOf(p *corev1.Probe, c corev1.Container) (handler string, out prober, err error) {
	if p == nil {
		return "", out, nil
	}
	out.TimeoutSeconds = p.TimeoutSeconds
	switch {
	case p.HTTPGet != nil && local(p.HTTPGet.Host):
		handler, out.HTTPGet = "httpGet", p.HTTPGet.DeepCopy()
		err = resolve(&out.HTTPGet.Port, c)
	case p.TCPSocket != nil && local(p.TCPSocket.Host):
		handler, out.TCPSocket = "tcpSocket", p.TCPSocket.DeepCopy()
		err = resolve(&out.TCPSocket.Port, c)
	case p.GRPC != nil:
		handler, out.GRPC = "grpc", p.GRPC.DeepCopy()
	}
	if err != nil {
		handler = ""
	}
	return handler, out, err
}

// local reports whether a probe is for the pod itself; one for another host is none of the agent's business.
func local(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || host == "localhost" || ip != nil && ip.IsLoopback()
}

// resolve turns a port's name into its number: the agent does not know the container.
func resolve(port *intstr.IntOrString, c corev1.Container) error {
	if port.Type == intstr.Int {
		return nil
	}
	for _, p := range c.Ports {
		if p.Name == port.StrVal {
			*port = intstr.FromInt32(p.ContainerPort)
			return nil
		}
	}
	return fmt.Errorf("the container has no port named %q", port.StrVal)
}

// probers is the variable that tells the agent what to do.
func (s *sidecar) probers() (string, error) {
	if len(s.probes) == 0 {
		return "", nil
	}
	byPath := map[string]prober{}
	for _, r := range s.probes {
		byPath[r.path] = r.prober
	}
	return variable(byPath)
}

// variable writes a value as JSON that an environment variable can hold. The kubelet expands $(X) in variables and turns
// $$ into $; what the user wrote stands in a probe, where neither happens. So no dollar is written: strings alone can hold
// one, and JSON has another spelling for it.
func variable(value any) (string, error) {
	text, err := json.Marshal(value)
	return strings.ReplaceAll(string(text), "$", `\u0024`), err
}

// operations point the kubelet to the agent and leave the probe's timing alone.
func (r rewrite) operations() []Operation {
	probe := r.container + "/" + r.field
	get := corev1.HTTPGetAction{Path: r.path, Port: intstr.FromInt32(names.AgentPort), Scheme: corev1.URISchemeHTTP}
	if r.handler == "httpGet" {
		return []Operation{{"replace", probe + "/httpGet", get}}
	}
	return []Operation{{"remove", probe + "/" + r.handler, nil}, {"add", probe + "/httpGet", get}}
}
