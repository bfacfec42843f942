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
	inject     = "sidecar.istio.io/inject"
	unlabelled = "unlabelled"         // a namespace without a label
	enabled    = "injection-enabled"  // a namespace with istio-injection=enabled
	disabled   = "injection-disabled" // a namespace with istio-injection=disabled
)

// podCase is what decides about a sidecar: the namespace, the pod's label and annotation, and its network.
type podCase struct {
	namespace, label, annotation string
	hostNetwork                  bool
}

func (w podCase) String() string {
	return fmt.Sprintf("namespace %s, label %q, annotation %q, host network %t", w.namespace, w.label, w.annotation, w.hostNetwork)
}

// TestInjectionDecision creates pods of each combination of label, annotation and namespace, as dry runs, and checks which get a
// sidecar.
func TestInjectionDecision(t *testing.T) {
	readyMesh(t)
	injectionNamespaces(t)
	for w, want := range map[podCase]bool{
		{namespace: enabled}:                                           true,
		{namespace: enabled, label: "true"}:                            true,
		{namespace: enabled, annotation: "true"}:                       true,
		{namespace: enabled, label: "false"}:                           false,
		{namespace: enabled, annotation: "false"}:                      false,
		{namespace: enabled, label: "true", annotation: "false"}:       true, // the label takes precedence
		{namespace: enabled, label: "false", annotation: "true"}:       false,
		{namespace: enabled, hostNetwork: true}:                        false,
		{namespace: unlabelled}:                                        false,
		{namespace: unlabelled, label: "true"}:                         true,
		{namespace: unlabelled, annotation: "true"}:                    true,
		{namespace: unlabelled, annotation: "yes"}:                     true, // YAML 1.1
		{namespace: unlabelled, label: "false"}:                        false,
		{namespace: unlabelled, annotation: "false"}:                   false,
		{namespace: unlabelled, label: "true", annotation: "false"}:    true,
		{namespace: unlabelled, label: "false", annotation: "true"}:    false,
		{namespace: unlabelled, label: "true", hostNetwork: true}:      false,
		{namespace: unlabelled, annotation: "true", hostNetwork: true}: false,
		{namespace: disabled}:                                          false,
		{namespace: disabled, label: "true"}:                           false,
		{namespace: disabled, annotation: "true"}:                      false,
		{namespace: "kube-system", label: "true"}:                      false,
		{namespace: "kube-system", annotation: "true"}:                 false,
		{namespace: "istio-system", label: "true"}:                     false,
		{namespace: "istio-system", annotation: "true"}:                false,
		{namespace: "istio-operator", label: "true"}:                   false,
		{namespace: "istio-operator", annotation: "true"}:              false,
	} {
		got, err := wouldInject(within(t, 30*time.Second), w)
		if err != nil || got != want {
			t.Errorf("%s: a sidecar: %t, want %t (%v)", w, got, want, err)
		}
	}
}

// injectionNamespaces creates one namespace for each value of the label.
func injectionNamespaces(t *testing.T) {
	t.Helper()
	namespace(t, unlabelled, nil)
	namespace(t, enabled, injected)
	namespace(t, disabled, map[string]string{"istio-injection": "disabled"})
}

// TestInstallationAnnotationOptIn turns annotationOptIn off: the annotation alone requests no sidecar any more, a label does.
func TestInstallationAnnotationOptIn(t *testing.T) {
	installation(t)
	injectionNamespaces(t)
	edit(t, `{"spec":{"injection":{"annotationOptIn":false}}}`)
	must(t, lab.Until(within(t, 30*time.Second), "the annotation is ignored", func(ctx context.Context) error {
		got, err := wouldInject(ctx, podCase{namespace: unlabelled, annotation: "true"})
		if err == nil && got {
			err = fmt.Errorf("it gets a sidecar")
		}
		return err
	}))
	for _, w := range []podCase{{namespace: unlabelled, label: "true"}, {namespace: enabled}} {
		if got, err := wouldInject(within(t, 30*time.Second), w); err != nil || !got {
			t.Errorf("%s: a sidecar: %t (%v)", w, got, err)
		}
	}
}

// wouldInject reports whether such a pod would get a sidecar.
func wouldInject(ctx context.Context, w podCase) (bool, error) {
	pod, err := tryPod(ctx, w)
	return err == nil && sidecarOf(pod) != nil, err
}

// tryPod creates such a pod as a dry run.
func tryPod(ctx context.Context, w podCase) (*corev1.Pod, error) {
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

// sidecarOf returns the container of a pod's proxy, or nil.
func sidecarOf(pod *corev1.Pod) *corev1.Container {
	for i := range pod.Spec.InitContainers {
		if c := &pod.Spec.InitContainers[i]; c.Name == "istio-proxy" {
			return c
		}
	}
	return nil
}
