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
	gateway, err := ingress(within(t, 30*time.Second), "http")
	must(t, err)
	url := gateway + "/productpage"
	ctx, stop := context.WithCancel(within(t, 8*time.Minute))
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

// TestInstallationKilledPods kills one pod of each role in turn, without a grace period, while requests are sent: none fails,
// and afterwards the API has the same objects.
func TestInstallationKilledPods(t *testing.T) {
	installation(t)
	sharedBookinfo(t)
	plaintextClient(t) // created before the first snapshot
	for _, role := range []struct {
		namespace, selector string
		meanwhile           func(t *testing.T) // runs while the pod is replaced
	}{
		{"istio-operator", "name=istio-operator", nil},
		{"istio-system", "istio=pilot", nil},
		{"istio-system", "istio=citadel", nil},
		{"istio-system", "istio=sidecar-injector", neverAdmittedWithoutSidecar},
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
						err = errors.New("the killed pod still exists")
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

// kill deletes a pod without a grace period.
func kill(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	var now int64
	must(t, mesh.Client.CoreV1().Pods(pod.Namespace).Delete(within(t, 30*time.Second), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}))
}

// apiState lists the objects of the API and the generation of each Deployment of the mesh, which a needless write increments.
func apiState(t *testing.T) []string {
	t.Helper()
	out := snapshot(t)
	for name, generation := range generations(t) {
		out = append(out, fmt.Sprintf("generation %d of %s", generation, name))
	}
	slices.Sort(out)
	return out
}

// neverAdmittedWithoutSidecar creates pods while the injector may be unavailable: each is refused until one is injected.
func neverAdmittedWithoutSidecar(t *testing.T) {
	must(t, lab.Until(within(t, time.Minute), "a pod is injected", func(ctx context.Context) error {
		injected, err := wouldInject(ctx, podCase{namespace: bookinfo})
		if err == nil && !injected {
			t.Fatal("a pod was admitted without a sidecar")
		}
		return err
	}))
}

// TestInstallationRootIsRestored deletes the Secret of the root: citadel restores the same root.
func TestInstallationRootIsRestored(t *testing.T) {
	installation(t)
	secrets := mesh.Client.CoreV1().Secrets("istio-system")
	before, err := secrets.Get(within(t, 30*time.Second), "istio-ca-secret", metav1.GetOptions{})
	must(t, err)
	must(t, secrets.Delete(within(t, 30*time.Second), before.Name, metav1.DeleteOptions{}))
	must(t, lab.Until(within(t, time.Minute), "the root is restored", func(ctx context.Context) error {
		after, err := secrets.Get(ctx, before.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if string(after.Data["ca-cert.pem"]) != string(before.Data["ca-cert.pem"]) {
			t.Fatal("citadel made another root")
		}
		return nil
	}))
}
