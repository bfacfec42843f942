package scenarios

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// TestScale asks for an autoscaler and a disruption budget, and takes them back: both come, a deleted one comes back, both go.
// The number of replicas stays, for it is the user's as long as the resource names none.
func TestScale(t *testing.T) {
	autoscaler := func(ctx context.Context) error {
		_, err := mesh.Client.AutoscalingV2().HorizontalPodAutoscalers("istio-system").Get(ctx, "istio-pilot", metav1.GetOptions{})
		return err
	}
	budget := func(ctx context.Context) error {
		_, err := mesh.Client.PolicyV1().PodDisruptionBudgets("istio-system").Get(ctx, "istio-pilot", metav1.GetOptions{})
		return err
	}
	change(t, `{"spec":{"components":{"pilot":{"autoscaling":{"minReplicas":2,"maxReplicas":3},"podDisruptionBudget":{"minAvailable":1}}}}}`,
		`{"spec":{"components":null}}`)
	must(t, lab.Until(within(t, time.Minute), "the autoscaler is there", autoscaler))
	must(t, lab.Until(within(t, time.Minute), "the budget is there", budget))
	pilots := twoPilots(t)
	t.Run("one of them is killed", func(t *testing.T) {
		underTraffic(t, func(t *testing.T) {
			kill(t, pilots[0]) // the older one, which all proxies know
			twoPilots(t)
			everyProxySynced(t)
		})
	})
	must(t, mesh.Client.PolicyV1().PodDisruptionBudgets("istio-system").Delete(within(t, 30*time.Second), "istio-pilot", metav1.DeleteOptions{}))
	must(t, lab.Until(within(t, time.Minute), "the deleted budget is back", budget))

	must(t, edit(within(t, 2*time.Minute), `{"spec":{"components":null}}`))
	must(t, lab.Gone(within(t, time.Minute), "the autoscaler", autoscaler))
	must(t, lab.Gone(within(t, time.Minute), "the budget", budget))
	_, err := mesh.Kubectl(within(t, 30*time.Second), "scale", "deployment", "-n", "istio-system", "istio-pilot", "--replicas=1")
	must(t, err)
	must(t, mesh.Available(within(t, time.Minute), "istio-system"))
	if err := budget(within(t, 30*time.Second)); !apierrors.IsNotFound(err) {
		t.Errorf("the budget: %v", err)
	}
	everyProxySynced(t) // proxies of the pilot that goes need a moment to come to the one that stays
}

// twoPilots waits until the autoscaler's two replicas run, and returns them, the older one first.
func twoPilots(t *testing.T) []*corev1.Pod {
	t.Helper()
	var out []*corev1.Pod
	must(t, lab.Until(within(t, 2*time.Minute), "two pilots run", func(ctx context.Context) error {
		if err := mesh.Available(ctx, "istio-system"); err != nil {
			return err
		}
		list, err := mesh.Client.CoreV1().Pods("istio-system").List(ctx, metav1.ListOptions{LabelSelector: "istio=pilot"})
		if err != nil {
			return err
		}
		out = nil
		for i := range list.Items {
			if p := &list.Items[i]; p.DeletionTimestamp == nil {
				out = append(out, p)
			}
		}
		if len(out) != 2 {
			return fmt.Errorf("there are %d", len(out))
		}
		slices.SortFunc(out, func(a, b *corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
		return nil
	}))
	return out
}

// everyProxySynced waits until each proxy of the mesh is connected to some pilot that stays, and has accepted all that it was
// sent.
func everyProxySynced(t *testing.T) {
	t.Helper()
	must(t, lab.Until(within(t, time.Minute), "all proxies are in step", func(ctx context.Context) error {
		synced := map[string]bool{}
		pilots, err := mesh.Client.CoreV1().Pods("istio-system").List(ctx, metav1.ListOptions{LabelSelector: "istio=pilot"})
		if err != nil {
			return err
		}
		for i := range pilots.Items {
			pilot := &pilots.Items[i]
			if pilot.DeletionTimestamp != nil {
				return fmt.Errorf("%s is on its way out", pilot.Name)
			}
			if err := syncedBy(ctx, pilot, synced); err != nil {
				return err
			}
		}
		proxies, err := proxyPods(ctx)
		if err != nil {
			return err
		}
		for _, p := range proxies {
			if name := p.Name + "." + p.Namespace; !synced[name] {
				return fmt.Errorf("%s is not; %d others are", name, len(synced))
			}
		}
		return nil
	}))
}

// syncedBy adds the proxies that one pilot says are in step, as pod.namespace.
func syncedBy(ctx context.Context, pilot *corev1.Pod, to map[string]bool) error {
	text, err := getThroughPod(ctx, pilot, 15014, "/debug/syncz")
	if err != nil {
		return err
	}
	var list []struct {
		Proxy string `json:"proxy"`
		Error string `json:"internal_error"`
		Types map[string]struct {
			Sent, Acked string
			Behind      int
		} `json:"types"`
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return fmt.Errorf("parse /debug/syncz: %w", err)
	}
	for _, p := range list {
		inStep := p.Error == "" && len(p.Types) > 0
		for _, kind := range p.Types {
			inStep = inStep && kind.Sent == kind.Acked && kind.Behind == 0
		}
		if inStep {
			to[p.Proxy] = true
		}
	}
	return nil
}
