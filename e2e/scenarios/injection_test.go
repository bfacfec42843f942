package scenarios

import (
	"context"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

const (
	inject      = "sidecar.istio.io/inject"
	silentSpace = "silent"   // a namespace without a label
	closedSpace = "disabled" // a namespace that refuses
)

// wishes are what decides about a sidecar: what the namespace says, the pod's label and annotation, and its network.
type wishes struct {
	namespace, label, annotation string
	hostNetwork                  bool
}

func (w wishes) String() string {
	return fmt.Sprintf("namespace %s, label %q, annotation %q, host network %t", w.namespace, w.label, w.annotation, w.hostNetwork)
}

// TestInjection asks the API server what it would make of pods, for each combination of wishes. Every request is a dry run.
func TestInjection(t *testing.T) {
	namespace(t, silentSpace, nil)
	namespace(t, closedSpace, map[string]string{"istio-injection": "disabled"})
	for w, want := range map[wishes]bool{
		{namespace: bookinfo}:                                           true,
		{namespace: bookinfo, label: "true"}:                            true,
		{namespace: bookinfo, annotation: "true"}:                       true,
		{namespace: bookinfo, label: "false"}:                           false,
		{namespace: bookinfo, annotation: "false"}:                      false,
		{namespace: bookinfo, label: "true", annotation: "false"}:       true, // the label is the newer word for the same
		{namespace: bookinfo, label: "false", annotation: "true"}:       false,
		{namespace: bookinfo, hostNetwork: true}:                        false,
		{namespace: silentSpace}:                                        false,
		{namespace: silentSpace, label: "true"}:                         true,
		{namespace: silentSpace, annotation: "true"}:                    true,
		{namespace: silentSpace, annotation: "yes"}:                     true, // YAML of that time
		{namespace: silentSpace, label: "false"}:                        false,
		{namespace: silentSpace, annotation: "false"}:                   false,
		{namespace: silentSpace, label: "true", annotation: "false"}:    true,
		{namespace: silentSpace, label: "false", annotation: "true"}:    false,
		{namespace: silentSpace, label: "true", hostNetwork: true}:      false,
		{namespace: silentSpace, annotation: "true", hostNetwork: true}: false,
		{namespace: closedSpace}:                                        false,
		{namespace: closedSpace, label: "true"}:                         false,
		{namespace: closedSpace, annotation: "true"}:                    false,
		{namespace: "kube-system", label: "true"}:                       false,
		{namespace: "kube-system", annotation: "true"}:                  false,
		{namespace: "istio-system", label: "true"}:                      false,
		{namespace: "istio-system", annotation: "true"}:                 false,
		{namespace: "istio-operator", label: "true"}:                    false,
		{namespace: "istio-operator", annotation: "true"}:               false,
	} {
		got, err := wouldInject(within(t, 30*time.Second), w)
		if err != nil || got != want {
			t.Errorf("%s: a sidecar: %t, want %t (%v)", w, got, want, err)
		}
	}
	t.Run("without annotationOptIn", withoutOptIn)
}

// withoutOptIn closes the way by annotation alone; a label still asks.
func withoutOptIn(t *testing.T) {
	change(t, `{"spec":{"injection":{"annotationOptIn":false}}}`, `{"spec":{"injection":null}}`)
	must(t, lab.Until(within(t, 30*time.Second), "the annotation is ignored", func(ctx context.Context) error {
		got, err := wouldInject(ctx, wishes{namespace: silentSpace, annotation: "true"})
		if err == nil && got {
			err = fmt.Errorf("it gets a sidecar")
		}
		return err
	}))
	for _, w := range []wishes{{namespace: silentSpace, label: "true"}, {namespace: bookinfo}} {
		if got, err := wouldInject(within(t, 30*time.Second), w); err != nil || !got {
			t.Errorf("%s: a sidecar: %t (%v)", w, got, err)
		}
	}
}

// wouldInject tells whether a pod with these wishes would get a sidecar.
func wouldInject(ctx context.Context, w wishes) (bool, error) {
	pod, err := tryPod(ctx, w)
	return err == nil && sidecarOf(pod) != nil, err
}

// tryPod asks what a pod with these wishes would become, without creating it.
func tryPod(ctx context.Context, w wishes) (*corev1.Pod, error) {
	no, yes := false, true
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "tried"},
		Spec: corev1.PodSpec{
			HostNetwork:                  w.hostNetwork,
			AutomountServiceAccountToken: &no,
			SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: &yes,
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			Containers: []corev1.Container{{
				Name: "sleep", Image: "quay.io/mesh-operator/sleep:0.1.0",
				SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}},
			}},
		},
	}
	if w.label != "" {
		pod.Labels = map[string]string{inject: w.label}
	}
	if w.annotation != "" {
		pod.Annotations = map[string]string{inject: w.annotation}
	}
	return mesh.Client.CoreV1().Pods(w.namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}

// sidecarOf is the container of a pod's proxy, or nil.
func sidecarOf(pod *corev1.Pod) *corev1.Container {
	for i := range pod.Spec.InitContainers {
		if c := &pod.Spec.InitContainers[i]; c.Name == "istio-proxy" {
			return c
		}
	}
	return nil
}
