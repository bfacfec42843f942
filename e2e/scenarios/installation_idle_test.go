package scenarios

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mesh-operator/mesh-operator/e2e/lab"
)

const operatorAccount = "system:serviceaccount:istio-operator:istio-operator"

// auditLog returns the path of the API server's audit log.
func auditLog(t *testing.T) string {
	t.Helper()
	text, err := mesh.Cluster(within(t, 30*time.Second), "status", "--name", mesh.Name)
	must(t, err)
	for line := range strings.Lines(text) {
		if path, ok := strings.CutPrefix(line, "audit log"); ok {
			return strings.TrimSpace(path)
		}
	}
	t.Fatalf("the cluster's status names no audit log:\n%s", text)
	return ""
}

// TestInstallationIdle reads the audit log for more than a minute without changes, in which the operator renews its Lease and
// reads pilot's counters: it writes nothing else.
func TestInstallationIdle(t *testing.T) {
	installation(t)
	sharedBookinfo(t)
	everyProxySynced(t)
	dataPlaneSettled(t)
	path, started := auditLog(t), time.Now()
	var writes []string
	must(t, lab.Until(within(t, 3*time.Minute), "the operator has renewed its Lease", func(context.Context) error {
		writes = nil
		renewals := 0
		err := lab.Audit(path, func(e lab.AuditEvent) {
			if e.User.Username != operatorAccount || !e.Write() || e.Completed.Before(started) {
				return
			}
			if e.Object.Resource == "leases" {
				renewals++
				return
			}
			writes = append(writes, fmt.Sprintf("%s %s %s/%s", e.Verb, e.Resource(), e.Object.Namespace, e.Object.Name))
		})
		if err == nil && (renewals < 5 || time.Since(started) < 65*time.Second) {
			err = fmt.Errorf("%d renewals", renewals)
		}
		return err
	}))
	if len(writes) > 0 {
		t.Errorf("the idle operator wrote: %v", writes)
	}
}
