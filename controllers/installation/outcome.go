package installation

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/internal/apply"
)

// Outcome is what one reconcile did and saw; Status is computed from it.
type Outcome struct {
	Generation  int64
	Invalid     string        // why spec cannot be carried out
	Conflicts   []string      // what stands in the way
	Waiting     string        // what the next stage waits for; empty when all stages are applied
	Retry       time.Duration // when to look again at what no watch tells about; 0: events are enough
	Plan        Plan
	Unsupported []unsupported
	Warnings    []v1alpha1.Warning
	Observed    bool // into the mesh's namespace; false: what status says about it stays
	Deployments map[string]*appsv1.Deployment
	Services    map[string]*corev1.Service
	Pods        []*corev1.Pod
	Problems    map[string]podProblem // by component
	DataPlane   dataPlaneResult
	Roots       []byte
	Changes     []apply.Change // what was written
	Pruned      []apply.Ref    // what was deleted
	Removal     *v1alpha1.RemovalStatus
	Sidecars    []string // pods that outlive the mesh
}
