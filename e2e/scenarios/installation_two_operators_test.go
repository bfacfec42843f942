package scenarios

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

// TestInstallationTwoOperators runs a second operator and kills the leader: the other one restores what is deleted then, and the
// audit log shows writes of the leader only.
func TestInstallationTwoOperators(t *testing.T) {
	installation(t)
	scaleOperator(t, 2)
	t.Cleanup(func() { scaleOperator(t, 1) })
	started := time.Now()
	first := leader(t, "")
	isRestored(t, "istio-galley")
	kill(t, first)
	second := leader(t, first.Name)
	var passedOn time.Time
	lease, err := mesh.Client.CoordinationV1().Leases("istio-operator").Get(within(t, 30*time.Second), "istio-operator", metav1.GetOptions{})
	must(t, err)
	passedOn = lease.Spec.AcquireTime.Time
	isRestored(t, "istio-galley")
	must(t, mesh.InstallationReady(within(t, 2*time.Minute)))

	wrote := map[string]int{}
	must(t, lab.Audit(auditLog(t), func(e lab.AuditEvent) {
		if e.User.Username != operatorAccount || !e.Write() || e.Object.Resource == "leases" || e.Completed.Before(started) {
			return
		}
		wrote[e.Pod()]++
		if leads := map[bool]string{true: first.Name, false: second.Name}[e.Completed.Before(passedOn)]; e.Pod() != leads {
			t.Errorf("%s wrote %s %s/%s at %s while %s led", e.Pod(), e.Resource(), e.Object.Namespace, e.Object.Name, e.Completed, leads)
		}
	}))
	if wrote[first.Name] == 0 || wrote[second.Name] == 0 {
		t.Errorf("the audit log has writes of %v, want writes of both leaders", wrote)
	}
}

// leader waits until another operator than before holds the Lease.
func leader(t *testing.T, before string) *corev1.Pod {
	t.Helper()
	var pod *corev1.Pod
	must(t, lab.Until(within(t, 2*time.Minute), "an operator holds the Lease", func(ctx context.Context) error {
		lease, err := mesh.Client.CoordinationV1().Leases("istio-operator").Get(ctx, "istio-operator", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if lease.Spec.HolderIdentity == nil {
			return errors.New("it has no holder")
		}
		name, _, _ := strings.Cut(*lease.Spec.HolderIdentity, "_")
		if name == before {
			return fmt.Errorf("%s holds it, as before", name)
		}
		pod, err = mesh.Client.CoreV1().Pods("istio-operator").Get(ctx, name, metav1.GetOptions{})
		return err
	}))
	return pod
}

func scaleOperator(t *testing.T, replicas int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), lab.Slack*2*time.Minute) // also when the test is over
	defer cancel()
	_, err := mesh.Kubectl(ctx, "scale", "deployment", "-n", "istio-operator", "istio-operator", fmt.Sprintf("--replicas=%d", replicas))
	must(t, err)
	must(t, mesh.Available(ctx, "istio-operator"))
}
