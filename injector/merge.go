package injector

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/internal/telemetry"
)

// proxyID is the user and group of the proxy, whose traffic is not captured.
const proxyID = 1337

// tokenPath is where the API server mounts its own token into every container; the proxy has no use for it.
const tokenPath = "/var/run/secrets/kubernetes.io/serviceaccount"

// sidecar is a rendered template on its way into a pod.
type sidecar struct {
	pod      *corev1.Pod
	revision string
	version  string
	rewrites bool // of probes and hooks
	probes   []rewrite
	token    func() string // unguessable, for the path of a hook
}

// check refuses pods that would go around their sidecar or collide with it.
func check(pod *corev1.Pod) error {
	own := 0
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if c.Name == proxyName {
			own++
			continue
		}
		if c.Name == "istio-init" {
			return refuse("container name istio-init belongs to the sidecar: rename the container")
		}
		if isProxyID(pod, c) {
			return refuse("container %s runs as user or group %d, whose traffic the proxy does not see: use another one", c.Name, proxyID)
		}
	}
	switch {
	case own > 1:
		return refuse("%d containers are named %s: at most one may say how to change the sidecar", own, proxyName)
	case len(pod.Spec.Containers) > 0 && len(pod.Spec.Containers) == own && pod.Spec.Containers[0].Name == proxyName:
		return refuse("the pod has no container but %s: gateways are created by the Installation", proxyName)
	}
	return nil
}

func isProxyID(pod *corev1.Pod, c corev1.Container) bool {
	var user, group *int64
	if s := pod.Spec.SecurityContext; s != nil {
		user, group = s.RunAsUser, s.RunAsGroup
	}
	if s := c.SecurityContext; s != nil {
		if s.RunAsUser != nil {
			user = s.RunAsUser
		}
		if s.RunAsGroup != nil {
			group = s.RunAsGroup
		}
	}
	return user != nil && *user == proxyID || group != nil && *group == proxyID
}

// cautions are about what will not work as the author may think.
func cautions(pod *corev1.Pod, rewritten bool) []string {
	var out []string
	if p := pod.Spec.DNSPolicy; p == corev1.DNSNone || p == corev1.DNSDefault {
		out = append(out, fmt.Sprintf("dnsPolicy %s: the sidecar finds its control plane by cluster DNS", p))
	}
	for _, c := range pod.Spec.Containers {
		if l := c.Lifecycle; !rewritten && l != nil && (l.PostStart != nil && l.PostStart.HTTPGet != nil || l.PreStop != nil && l.PreStop.HTTPGet != nil) {
			out = append(out, fmt.Sprintf("container %s: the kubelet's httpGet hooks are refused under strict mutual TLS: use exec, or leave out sidecar.istio.io/rewriteAppHTTPProbers", c.Name))
		}
		for _, p := range c.Ports {
			if p.ContainerPort >= 15000 && p.ContainerPort <= 15090 && c.Name != proxyName {
				out = append(out, fmt.Sprintf("container %s: port %d is in the sidecar's range 15000 to 15090", c.Name, p.ContainerPort))
			}
		}
	}
	return out
}

// annotate adds annotations that the pod does not have.
func (s *sidecar) annotate(add, existing map[string]string) {
	for key, value := range add {
		if _, found := existing[key]; !found {
			s.force(map[string]string{key: value})
		}
	}
}

// force adds annotations whatever the pod has.
func (s *sidecar) force(add map[string]string) {
	if s.pod.Annotations == nil {
		s.pod.Annotations = map[string]string{}
	}
	maps.Copy(s.pod.Annotations, add)
}

// override lets a container istio-proxy of the user's change the rendered one, within an allow-list: resources, a few
// variables, and mounts of the pod's own volumes. Everything else in it is refused by name.
func (s *sidecar) override(pod *corev1.Pod) error {
	wish := findContainer(pod.Spec.Containers, proxyName)
	if wish == nil {
		wish = findContainer(pod.Spec.InitContainers, proxyName)
	}
	if wish == nil {
		return nil
	}
	proxy := s.proxy()
	if err := onlyAllowed(*wish, proxy.Image); err != nil {
		return err
	}
	if wish.Resources.Requests != nil || wish.Resources.Limits != nil {
		proxy.Resources = wish.Resources
	}
	for _, e := range wish.Env {
		if err := overrideEnv(proxy, e); err != nil {
			return err
		}
	}
	return s.addMounts(wish.VolumeMounts)
}

// proxy is the rendered container; render has made sure that there is one.
func (s *sidecar) proxy() *corev1.Container {
	if c := findContainer(s.pod.Spec.InitContainers, proxyName); c != nil {
		return c
	}
	return findContainer(s.pod.Spec.Containers, proxyName)
}

// onlyAllowed refuses what a user may not set. The fields beside the allowed ones are those that the API server fills in
// before it asks us.
func onlyAllowed(c corev1.Container, image string) error {
	if c.Image != "" && c.Image != "auto" && c.Image != image {
		return refuse("container %s: image %q is refused: the image is the administrator's choice; leave it out or say auto", proxyName, c.Image)
	}
	rest := c.DeepCopy()
	rest.Name, rest.Image, rest.Resources, rest.Env, rest.VolumeMounts = "", "", corev1.ResourceRequirements{}, nil, nil
	rest.ImagePullPolicy, rest.TerminationMessagePath, rest.TerminationMessagePolicy = "", "", ""
	text, err := json.Marshal(rest)
	if err != nil {
		return err
	}
	var set map[string]any
	if err := json.Unmarshal(text, &set); err != nil {
		return err
	}
	delete(set, "name")
	delete(set, "resources")
	if len(set) > 0 {
		return refuse("container %s: %s may not be changed; resources, env and volumeMounts may",
			proxyName, strings.Join(slices.Sorted(maps.Keys(set)), ", "))
	}
	return nil
}

// setting is what is known about the values of one: a wrong one would keep the proxy from starting.
type setting struct {
	valid func(string) bool
	want  string
}

// variables that a user may set.
var variables = map[string]setting{
	"PROXY_LOG_LEVEL":            {func(v string) bool { return logLevel(&options{}, v) == nil }, "a level such as warning"},
	"PROXY_CONCURRENCY":          {between(strconv.Atoi, 0, 128), "a number of threads from 0, one per core, to 128"},
	"TERMINATION_DRAIN_DURATION": {between(time.ParseDuration, 0, 24*time.Hour), "a duration from 0s to 24h"},
	"DRAIN_DURATION":             {between(time.ParseDuration, time.Second, time.Hour), "a duration from 1s to 1h"},
	telemetry.StatisticsVariable: {validStatistics, `a selection such as {"prefixes": ["cluster."]}`},
}

func between[T cmp.Ordered](parse func(string) (T, error), least, most T) func(string) bool {
	return func(text string) bool {
		value, err := parse(text)
		return err == nil && value >= least && value <= most
	}
}

func overrideEnv(proxy *corev1.Container, e corev1.EnvVar) error {
	v, known := variables[e.Name]
	if !known {
		return refuse("container %s: variable %s may not be set; %s may", proxyName, e.Name,
			strings.Join(slices.Sorted(maps.Keys(variables)), ", "))
	}
	if e.ValueFrom != nil || !v.valid(e.Value) {
		return refuse("container %s: variable %s: %.100q is not %s", proxyName, e.Name, e.Value, v.want)
	}
	for i := range proxy.Env {
		if proxy.Env[i].Name == e.Name {
			proxy.Env[i].Value = e.Value
			return nil
		}
	}
	proxy.Env = append(proxy.Env, e)
	return nil
}
