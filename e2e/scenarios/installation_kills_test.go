package scenarios

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// underTraffic sends requests through the ingress gateway, twenty a second, while disturb runs, and fails on the first
// that is not answered with 200.
func underTraffic(t *testing.T, disturb func(t *testing.T)) {
	t.Helper()
	url := ingress(t, "http") + "/productpage"
	ctx, stop := context.WithCancel(within(t, 5*time.Minute))
	var group sync.WaitGroup
	var sent int
	var failures []string
	group.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			reply, err := lab.Get(ctx, lab.Request{URL: url})
			if ctx.Err() != nil {
				return
			}
			sent++
			if err != nil || reply.Status != 200 {
				failures = append(failures, fmt.Sprintf("request %d: status %d, %v", sent, reply.Status, err))
			}
		}
	})
	disturb(t)
	stop()
	group.Wait()
	if sent == 0 {
		t.Error("no request was sent")
	}
	if len(failures) > 0 {
		t.Errorf("%d of %d requests failed, the first: %s", len(failures), sent, failures[0])
	}
	t.Logf("%d requests", sent)
}

// TestKills ends one pod of each role in turn, without grace, while pages are being served: afterwards all is as before.
func TestKills(t *testing.T) {
	for _, role := range []struct {
		namespace, selector string
		meanwhile           func(t *testing.T)
	}{
		{"istio-operator", "name=istio-operator", nil},
		{"istio-system", "istio=pilot", nil},
		{"istio-system", "istio=citadel", nil},
		{"istio-system", "istio=sidecar-injector", neverWithoutSidecar},
	} {
		t.Run(role.selector, func(t *testing.T) {
			before := apiState(t)
			underTraffic(t, func(t *testing.T) {
				pod, err := mesh.RunningPod(within(t, 30*time.Second), role.namespace, role.selector)
				must(t, err)
				kill(t, pod)
				if role.meanwhile != nil {
					role.meanwhile(t)
				}
				must(t, lab.Until(within(t, 2*time.Minute), "another pod is ready", func(ctx context.Context) error {
					next, err := mesh.RunningPod(ctx, role.namespace, role.selector)
					if err == nil && next.UID == pod.UID {
						err = errors.New("the killed pod is still there")
					}
					return err
				}))
			})
			must(t, mesh.InstallationReady(within(t, 2*time.Minute)))
			if diff := cmp.Diff(before, apiState(t)); diff != "" {
				t.Errorf("it left the API in another state (-before +after):\n%s", diff)
			}
		})
	}
}

// kill ends a pod without grace.
func kill(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	var now int64
	must(t, mesh.Client.CoreV1().Pods(pod.Namespace).Delete(within(t, 30*time.Second), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}))
}

// apiState is what there is in the API, and which generation each Deployment of the mesh has: writing one for nothing shows there.
func apiState(t *testing.T) []string {
	t.Helper()
	out := snapshot(t)
	for name, generation := range generations(within(t, 30*time.Second), t) {
		out = append(out, fmt.Sprintf("generation %d of %s", generation, name))
	}
	slices.Sort(out)
	return out
}

// neverWithoutSidecar creates pods while nobody may be there to inject: each is refused, until one is injected.
func neverWithoutSidecar(t *testing.T) {
	must(t, lab.Until(within(t, time.Minute), "a pod is injected", func(ctx context.Context) error {
		injected, err := wouldInject(ctx, wishes{namespace: bookinfo})
		if err == nil && !injected {
			t.Fatal("a pod was admitted without a sidecar")
		}
		return err
	}))
}

// TestRootSurvives deletes the Secret of the root: citadel restores the very same one.
func TestRootSurvives(t *testing.T) {
	secrets := mesh.Client.CoreV1().Secrets("istio-system")
	before, err := secrets.Get(within(t, 30*time.Second), "istio-ca-secret", metav1.GetOptions{})
	must(t, err)
	must(t, secrets.Delete(within(t, 30*time.Second), before.Name, metav1.DeleteOptions{}))
	must(t, lab.Until(within(t, time.Minute), "the root is back", func(ctx context.Context) error {
		after, err := secrets.Get(ctx, before.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if string(after.Data["ca-cert.pem"]) != string(before.Data["ca-cert.pem"]) {
			t.Fatal("another root was minted")
		}
		return nil
	}))
}
