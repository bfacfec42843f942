// Package report computes what users see of a reconcile: the whole status of the Installation (status.go), and an Event for
// what changed in it (events.go). It is pure: the same outcome gives the same status, word for word.
package report

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/controllers/installation/dataplane"
	"github.com/mesh-operator/mesh-operator/controllers/installation/desired"
	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/trust"
)

// Outcome is what one reconcile did and observed; Status is computed from it.
type Outcome struct {
	Generation  int64
	Invalid     string        // why spec cannot be applied
	Conflicts   []string      // objects of others with names that the mesh needs
	Waiting     string        // what the next stage waits for; empty when all stages are applied
	Retry       time.Duration // when to reconcile again although no watch has an event; 0: events are enough
	Plan        desired.Plan
	Unsupported []desired.Unsupported
	Warnings    []v1alpha1.Warning
	Observed    bool                // the mesh's namespace was read; false: what status says about it stays
	Workloads   map[string]Workload // by component
	Services    map[string]*corev1.Service
	Pods        []*corev1.Pod
	DataPlane   dataplane.Result
	Roots       trust.Bundle
	Changes     []apply.Change // objects that were written
	Pruned      []apply.Ref    // objects that were deleted
	Removal     *v1alpha1.RemovalStatus
	Sidecars    []string // pods that run a sidecar while the mesh is removed
}
