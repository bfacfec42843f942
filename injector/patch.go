package injector

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Operation is one step of a JSON patch (RFC 6902).
type Operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// status is the annotation that marks an injected pod and lists what was added.
type status struct {
	InitContainers   []string `json:"initContainers"`
	Containers       []string `json:"containers"`
	Volumes          []string `json:"volumes"`
	ImagePullSecrets []string `json:"imagePullSecrets"`
	Revision         string   `json:"revision"`
	Version          string   `json:"version,omitempty"` // of the template and its values
}

// patch turns the sidecar into operations on the pod as it was written. Probes come first: their paths count the containers
// before any is moved.
func (s *sidecar) patch(pod *corev1.Pod, raw []byte) ([]Operation, error) {
	if err := s.checkVolumes(pod); err != nil {
		return nil, err
	}
	s.pod.Spec.ImagePullSecrets = more(s.pod.Spec.ImagePullSecrets, pod.Spec.ImagePullSecrets)
	mark, err := s.status()
	if err != nil {
		return nil, err
	}
	s.force(map[string]string{statusKey: mark})
	var ops []Operation
	for _, r := range s.probes {
		ops = append(ops, r.operations()...)
	}
	ops = append(ops, removeOwn(pod)...)
	ops = append(ops, prepend("/spec/initContainers", s.pod.Spec.InitContainers, others(pod.Spec.InitContainers))...)
	ops = append(ops, extend("/spec/containers", s.pod.Spec.Containers, others(pod.Spec.Containers))...)
	ops = append(ops, extend("/spec/volumes", s.pod.Spec.Volumes, len(pod.Spec.Volumes))...)
	ops = append(ops, extend("/spec/imagePullSecrets", s.pod.Spec.ImagePullSecrets, len(pod.Spec.ImagePullSecrets))...)
	if !hasMetadata(raw) {
		ops = append(ops, Operation{"add", "/metadata", map[string]string{}})
	}
	ops = append(ops, merge("/metadata/labels", missing(s.pod.Labels, pod.Labels), pod.Labels)...)
	ops = append(ops, merge("/metadata/annotations", s.pod.Annotations, pod.Annotations)...)
	return ops, nil
}

func (s *sidecar) checkVolumes(pod *corev1.Pod) error {
	for _, own := range s.pod.Spec.Volumes {
		if slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == own.Name }) {
			return refuse("volume name %s belongs to the sidecar: rename the volume", own.Name)
		}
	}
	return nil
}

func (s *sidecar) status() (string, error) {
	out := status{Revision: s.revision, Version: s.version}
	for _, c := range s.pod.Spec.InitContainers {
		out.InitContainers = append(out.InitContainers, c.Name)
	}
	for _, c := range s.pod.Spec.Containers {
		out.Containers = append(out.Containers, c.Name)
	}
	for _, v := range s.pod.Spec.Volumes {
		out.Volumes = append(out.Volumes, v.Name)
	}
	for _, r := range s.pod.Spec.ImagePullSecrets {
		out.ImagePullSecrets = append(out.ImagePullSecrets, r.Name)
	}
	text, err := json.Marshal(out)
	return string(text), err
}

// more are the references that the pod does not have: a name given twice is refused when somebody applies the pod.
func more(add, existing []corev1.LocalObjectReference) []corev1.LocalObjectReference {
	return slices.DeleteFunc(slices.Clone(add), func(r corev1.LocalObjectReference) bool { return slices.Contains(existing, r) })
}

// removeOwn takes the user's istio-proxy away; its wishes are in the rendered one by now.
func removeOwn(pod *corev1.Pod) []Operation {
	for _, list := range []struct {
		path       string
		containers []corev1.Container
	}{{"/spec/initContainers", pod.Spec.InitContainers}, {"/spec/containers", pod.Spec.Containers}} {
		i := slices.IndexFunc(list.containers, func(c corev1.Container) bool { return c.Name == proxyName })
		if i >= 0 {
			return []Operation{{"remove", fmt.Sprintf("%s/%d", list.path, i), nil}}
		}
	}
	return nil
}

// others counts the containers that stay.
func others(list []corev1.Container) int {
	n := 0
	for _, c := range list {
		if c.Name != proxyName {
			n++
		}
	}
	return n
}

// prepend puts items before the existing ones, in their order.
func prepend[T any](path string, items []T, existing int) []Operation {
	if existing == 0 {
		return extend(path, items, 0)
	}
	var ops []Operation
	for i, item := range items {
		ops = append(ops, Operation{"add", fmt.Sprintf("%s/%d", path, i), item})
	}
	return ops
}

// extend puts items after the existing ones; a list that is not there, empty or null is made.
func extend[T any](path string, items []T, existing int) []Operation {
	if len(items) == 0 {
		return nil
	}
	if existing == 0 {
		return []Operation{{"add", path, items}}
	}
	var ops []Operation
	for _, item := range items {
		ops = append(ops, Operation{"add", path + "/-", item})
	}
	return ops
}

// merge adds the entries of a map one by one, or the map.
func merge(path string, add, existing map[string]string) []Operation {
	if len(add) == 0 {
		return nil
	}
	if len(existing) == 0 {
		return []Operation{{"add", path, add}}
	}
	var ops []Operation
	for _, key := range slices.Sorted(maps.Keys(add)) {
		ops = append(ops, Operation{"add", path + "/" + pointer.Replace(key), add[key]})
	}
	return ops
}

// pointer escapes a key for a JSON pointer.
var pointer = strings.NewReplacer("~", "~0", "/", "~1")

// missing are the entries that the pod does not have: what the user wrote wins.
func missing(add, existing map[string]string) map[string]string {
	out := map[string]string{}
	for key, value := range add {
		if _, found := existing[key]; !found {
			out[key] = value
		}
	}
	return out
}

func hasMetadata(raw []byte) bool {
	var pod struct {
		Metadata map[string]any `json:"metadata"`
	}
	return json.Unmarshal(raw, &pod) == nil && pod.Metadata != nil
}
