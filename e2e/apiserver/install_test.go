package apiserver

import (
	"testing"
	"time"
)

// TestInstallIsIdle runs the operator's whole way: stages, inventory, status. A mesh at rest costs no write.
func TestInstallIsIdle(t *testing.T) {
	cleanUp(t)
	o := startOperator(t, noFaults)
	create(t, map[string]any{"jaeger": map[string]any{}, "grafana": map[string]any{}})
	waitReady(t, 3*time.Minute)
	waitIdle(t, o)
	if wrote := reconcileOnce(t, o); len(wrote) > 0 {
		t.Errorf("a look at a mesh at rest wrote %q", wrote)
	}
	remove(t)
	waitGone(t, 3*time.Minute)
}
