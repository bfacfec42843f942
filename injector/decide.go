package injector

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/mesh-operator/mesh-operator/internal/names"
)

// Labels and annotations that decide.
const (
	injectKey      = "sidecar.istio.io/inject"
	namespaceLabel = "istio-injection"
	revisionLabel  = "istio.io/rev"
	statusKey      = names.SidecarStatusAnnotation
	proxyName      = "istio-proxy"
)

// Decision says whether a pod gets a sidecar, which rule said so, and why, in words for a person.
type Decision struct {
	Inject bool
	Rule   string
	Reason string
}

// subject is what the rules look at.
type subject struct {
	pod             *corev1.Pod
	namespace       string
	namespaceLabels map[string]string
	asked           bool // a person ran kube-inject
	settings        *Settings
}

// rule returns nil when it has no opinion.
type rule struct {
	name string
	ask  func(subject) *Decision
}

// rules are asked in order; the first that has an opinion decides.
var rules = []rule{
	{"alreadyInjected", alreadyInjected},         // a second sidecar would fight over the ports
	{"staticPod", staticPod},                     // the node runs it from a file; what the API server keeps is a mirror
	{"hostNetwork", hostNetwork},                 // redirection would change the node's network
	{"operatingSystem", operatingSystem},         // there is no proxy for Windows
	{"systemNamespace", systemNamespace},         // the control plane must start without a sidecar
	{"namespaceRefuses", namespaceRefuses},       // who owns the namespace said no for all of its pods
	{"otherRevision", otherRevision},             // another control plane's business
	{"podLabel", podLabel},                       // the pod's own wish
	{"podAnnotation", podAnnotation},             // the same, as it was written before labels
	{"neverInjectSelector", neverInjectSelector}, // the administrator's exceptions
	{"alwaysInjectSelector", alwaysInjectSelector},
	{"kubeInject", kubeInject},       // the command is run on purpose
	{"namespaceAsks", namespaceAsks}, // the namespace's default
}

func decide(s subject) Decision {
	for _, r := range rules {
		if d := r.ask(s); d != nil {
			d.Rule = r.name
			return *d
		}
	}
	return Decision{Rule: "nobodyAsked", Reason: "neither the pod nor its namespace asks for a sidecar"}
}

func yes(format string, args ...any) *Decision {
	return &Decision{Inject: true, Reason: fmt.Sprintf(format, args...)}
}

func no(format string, args ...any) *Decision {
	return &Decision{Reason: fmt.Sprintf(format, args...)}
}

// alreadyInjected needs both marks: the annotation alone may be copied from a running pod's description, the container
// alone may be what a user wants to change about the sidecar.
func alreadyInjected(s subject) *Decision {
	if !json.Valid([]byte(s.pod.Annotations[statusKey])) {
		return nil
	}
	named := func(c corev1.Container) bool { return c.Name == proxyName }
	if slices.ContainsFunc(s.pod.Spec.InitContainers, named) || slices.ContainsFunc(s.pod.Spec.Containers, named) {
		return no("the pod has a sidecar already")
	}
	return nil
}

func staticPod(s subject) *Decision {
	if _, mirror := s.pod.Annotations[corev1.MirrorPodAnnotationKey]; mirror {
		return no("the pod mirrors a static one")
	}
	return nil
}

func hostNetwork(s subject) *Decision {
	if s.pod.Spec.HostNetwork {
		return no("the pod uses the node's network")
	}
	return nil
}

func operatingSystem(s subject) *Decision {
	if os := s.pod.Spec.OS; os != nil && os.Name != corev1.Linux {
		return no("the pod is for %s", os.Name)
	}
	return nil
}

func systemNamespace(s subject) *Decision {
	if slices.Contains([]string{"kube-system", "kube-public", "kube-node-lease", "istio-operator", s.settings.values.MeshNamespace}, s.namespace) {
		return no("namespace %s is never injected", s.namespace)
	}
	return nil
}

func namespaceRefuses(s subject) *Decision {
	if s.namespaceLabels[namespaceLabel] == "disabled" {
		return no("namespace label %s is disabled", namespaceLabel)
	}
	return nil
}

func otherRevision(s subject) *Decision {
	own := s.settings.values.Revision
	if rev := s.pod.Labels[revisionLabel]; rev != "" && rev != own {
		return no("pod label %s is %q, this control plane is %q", revisionLabel, rev, own)
	}
	if rev := s.namespaceLabels[revisionLabel]; rev != "" && rev != own && s.pod.Labels[revisionLabel] == "" {
		return no("namespace label %s is %q, this control plane is %q", revisionLabel, rev, own)
	}
	return nil
}

func podLabel(s subject) *Decision { return wish("label", s.pod.Labels[injectKey]) }

func podAnnotation(s subject) *Decision { return wish("annotation", s.pod.Annotations[injectKey]) }

// wish reads a value as YAML 1.1 did, because manifests of that time say "yes" and "on".
func wish(where, value string) *Decision {
	switch strings.ToLower(value) {
	case "y", "yes", "true", "on":
		return yes("pod %s %s is %q", where, injectKey, value)
	case "n", "no", "false", "off":
		return no("pod %s %s is %q", where, injectKey, value)
	}
	return nil
}

func neverInjectSelector(s subject) *Decision {
	if i := matching(s.settings.never, s.pod.Labels); i >= 0 {
		return no("the pod's labels match neverInjectSelector[%d]: %s", i, s.settings.never[i])
	}
	return nil
}

func alwaysInjectSelector(s subject) *Decision {
	if i := matching(s.settings.always, s.pod.Labels); i >= 0 {
		return yes("the pod's labels match alwaysInjectSelector[%d]: %s", i, s.settings.always[i])
	}
	return nil
}

func matching(selectors []labels.Selector, set map[string]string) int {
	return slices.IndexFunc(selectors, func(s labels.Selector) bool { return s.Matches(labels.Set(set)) })
}

func kubeInject(s subject) *Decision {
	if s.asked {
		return yes("asked for on the command line")
	}
	return nil
}

func namespaceAsks(s subject) *Decision {
	asks := s.namespaceLabels[namespaceLabel] == "enabled" || s.namespaceLabels[revisionLabel] == s.settings.values.Revision
	switch {
	case asks && s.settings.policy == policyDisabled:
		return no("policy is disabled: only pods that ask by %s get a sidecar", injectKey)
	case asks:
		return yes("namespace %s asks for it", s.namespace)
	}
	return nil
}
