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

// TestInstallationAutoscaling adds an autoscaler and a disruption budget for pilot and removes them: both are created, a
// deleted one is restored, both are deleted. One of two pilots is killed while requests are sent.
func TestInstallationAutoscaling(t *testing.T) {
	installation(t)
	sharedBookinfo(t)
	autoscaler := func(ctx context.Context) error {
		_, err := mesh.Client.AutoscalingV2().HorizontalPodAutoscalers("istio-system").Get(ctx, "istio-pilot", metav1.GetOptions{})
		return err
	}
	budget := func(ctx context.Context) error {
		_, err := mesh.Client.PolicyV1().PodDisruptionBudgets("istio-system").Get(ctx, "istio-pilot", metav1.GetOptions{})
		return err
	}
	atEnd(t, 2*time.Minute, onePilot)
	edit(t, `{"spec":{"components":{"pilot":{"autoscaling":{"minReplicas":2,"maxReplicas":3},"podDisruptionBudget":{"minAvailable":1}}}}}`)
	must(t, lab.Until(within(t, time.Minute), "the autoscaler exists", autoscaler))
	must(t, lab.Until(within(t, time.Minute), "the budget exists", budget))
	pilots := twoPilots(t)
	t.Run("one of them is killed", func(t *testing.T) {
		underTraffic(t, func(t *testing.T) {
			kill(t, pilots[0]) // the older one, to which all proxies are connected
			twoPilots(t)
			everyProxySynced(t)
		})
	})
	must(t, mesh.Client.PolicyV1().PodDisruptionBudgets("istio-system").Delete(within(t, 30*time.Second), "istio-pilot", metav1.DeleteOptions{}))
	must(t, lab.Until(within(t, time.Minute), "the deleted budget is restored", budget))

	restore(t)
	must(t, lab.Gone(within(t, time.Minute), "the autoscaler", autoscaler))
	must(t, lab.Gone(within(t, time.Minute), "the budget", budget))
	must(t, onePilot(within(t, 2*time.Minute)))
	if err := budget(within(t, 30*time.Second)); !apierrors.IsNotFound(err) {
		t.Errorf("the budget: %v", err)
	}
	everyProxySynced(t)
}

// onePilot scales pilot down: without an autoscaler and a number in the resource, its replicas are the user's.
func onePilot(ctx context.Context) error {
	if _, err := mesh.Kubectl(ctx, "scale", "deployment", "-n", "istio-system", "istio-pilot", "--replicas=1"); err != nil {
		return err
	}
	return mesh.Available(ctx, "istio-system")
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

// everyProxySynced waits until no pilot is being deleted and each proxy of the mesh has accepted all that a pilot sent it.
func everyProxySynced(t *testing.T) {
	t.Helper()
	must(t, lab.Until(within(t, 2*time.Minute), "all proxies are synced", func(ctx context.Context) error {
		synced := map[string]bool{}
		pilots, err := mesh.Client.CoreV1().Pods("istio-system").List(ctx, metav1.ListOptions{LabelSelector: "istio=pilot"})
		if err != nil {
			return err
		}
		for i := range pilots.Items {
			pilot := &pilots.Items[i]
			if pilot.DeletionTimestamp != nil {
				return fmt.Errorf("%s is being deleted", pilot.Name)
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
				return fmt.Errorf("%s is not synced; %d others are", name, len(synced))
			}
		}
		return nil
	}))
}

// syncedBy adds the proxies that one pilot reports as synced, as pod.namespace.
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
		done := p.Error == "" && len(p.Types) > 0
		for _, kind := range p.Types {
			done = done && kind.Sent == kind.Acked && kind.Behind == 0
		}
		if done {
			to[p.Proxy] = true
		}
	}
	return nil
}
