package injector

import (
	"bytes"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/mesh-operator/mesh-operator/internal/workload"
)

// data is what the template sees.
type data struct {
	Values   Values
	Workload Workload
	Redirect Redirect
	Proxy    Proxy
}

// render executes the template and reads the result as a pod. An unknown field is an error: the template is an
// administrator's, and a misspelt securityContext must not pass.
func (s *Settings) render(pod *corev1.Pod, owner *workload.Owner, o options) (*corev1.Pod, error) {
	var text bytes.Buffer
	in := data{Values: s.values, Workload: workloadOf(pod, owner), Redirect: o.redirect, Proxy: o.proxy}
	if err := s.template.Execute(&text, in); err != nil {
		return nil, fmt.Errorf("render template: %w", err)
	}
	out := &corev1.Pod{}
	if err := yaml.UnmarshalStrict(text.Bytes(), out); err != nil {
		return nil, fmt.Errorf("parse rendered template: %w", err)
	}
	if findContainer(out.Spec.InitContainers, proxyName) == nil && findContainer(out.Spec.Containers, proxyName) == nil {
		return nil, fmt.Errorf("parse rendered template: it has no container %s", proxyName)
	}
	return out, nil
}

func findContainer(list []corev1.Container, name string) *corev1.Container {
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return nil
}
