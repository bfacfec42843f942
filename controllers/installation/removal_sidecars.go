package installation

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// sidecarAnnotation is on every pod that got a sidecar.
const sidecarAnnotation = "sidecar.istio.io/status"

// sidecars names the pods that run a sidecar, as namespace/name.
func (m *removal) sidecars(ctx context.Context) ([]string, error) {
	running := client.MatchingFieldsSelector{Selector: fields.ParseSelectorOrDie("status.phase!=Succeeded,status.phase!=Failed")}
	pods, err := m.list(ctx, "", kindPod, running)
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, pod := range pods {
		if pod.Annotations[sidecarAnnotation] != "" && pod.DeletionTimestamp == nil {
			names = append(names, pod.Namespace+"/"+pod.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// countSidecars gives a removal that still waits the pods that it knows of, so that they are told before the Installation is gone. It
// looks once: in a large cluster a list of all pods is no small thing.
func (m *removal) countSidecars(ctx context.Context) error {
	if m.sidecarPods == nil && m.r.sidecars == nil {
		var err error
		if m.r.sidecars, err = m.sidecars(ctx); err != nil {
			return err
		}
	}
	if m.sidecarPods == nil {
		m.sidecarPods = m.r.sidecars
	}
	return nil
}

// sidecarsMessage counts the pods, names the first five and says what to do about them.
func sidecarsMessage(pods []string) string {
	named := strings.Join(pods[:min(len(pods), 5)], ", ")
	if more := len(pods) - 5; more > 0 {
		named += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("%d pods still run a sidecar: %s; they get no new configuration and no new certificates, so restart their "+
		"workloads (kubectl rollout restart; those of kube-inject: apply the manifest without the sidecar)", len(pods), named)
}

// finalEvents are the Events about what stays, with the next step for each.
func (m *removal) finalEvents() []Event {
	if len(m.sidecarPods) == 0 {
		return m.kept
	}
	message := sidecarsMessage(m.sidecarPods)
	if m.rootKept {
		next := "kubectl delete namespace " + owner.MeshNamespace
		if m.namespaceKept || !ours(m.namespace) {
			next = "kubectl delete secret -n " + owner.MeshNamespace + " " + rootSecret
		}
		message += "; Secret " + rootSecret + " stays in namespace " + owner.MeshNamespace + " until then, and a new Installation goes on with it: " +
			"when no sidecar is left, run " + next
	}
	return append(m.kept, Event{corev1.EventTypeWarning, "SidecarsRunning", message})
}
