package removal

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mesh-operator/mesh-operator/controllers/installation/report"
	"github.com/mesh-operator/mesh-operator/internal/names"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// listSidecars names the pods that run a sidecar, as namespace/name.
func (m *removal) listSidecars(ctx context.Context) ([]string, error) {
	running := client.MatchingFieldsSelector{Selector: fields.ParseSelectorOrDie("status.phase!=Succeeded,status.phase!=Failed")}
	pods, err := m.list(ctx, "", kindPod, running)
	if err != nil {
		return nil, err
	}
	list := []string{}
	for _, pod := range pods {
		if pod.Annotations[names.SidecarStatusAnnotation] != "" && pod.DeletionTimestamp == nil {
			list = append(list, pod.Namespace+"/"+pod.Name)
		}
	}
	slices.Sort(list)
	return list, nil
}

// listSidecarsOnce sets the pods of an attempt that ended before it listed them, so that status names them before the
// Installation is gone. It lists once for all attempts: the pods of a large cluster are many.
func (m *removal) listSidecarsOnce(ctx context.Context) error {
	if m.sidecarPods == nil && m.Remover.sidecars == nil {
		var err error
		if m.Remover.sidecars, err = m.listSidecars(ctx); err != nil {
			return err
		}
	}
	if m.sidecarPods == nil {
		m.sidecarPods = m.Remover.sidecars
	}
	return nil
}

// finalEvents are the Events about what stays, with the next step for each.
func (m *removal) finalEvents() []report.Event {
	if len(m.sidecarPods) == 0 {
		return m.kept
	}
	message := report.SidecarsMessage(m.sidecarPods)
	if m.rootKept {
		next := "kubectl delete namespace " + owner.MeshNamespace
		if m.namespaceKept || !ours(m.namespace) {
			next = "kubectl delete secret -n " + owner.MeshNamespace + " " + names.RootSecret
		}
		message += "; Secret " + names.RootSecret + " stays in namespace " + owner.MeshNamespace + ", and a new Installation continues with it; " +
			"when no sidecar is left, run " + next
	}
	return append(m.kept, report.Event{Type: corev1.EventTypeWarning, Reason: "SidecarsRunning", Message: message})
}
