// Package removal deletes the mesh of a deleted Installation. It runs backwards, webhooks first, and needs no component to be
// running (docs/adr/0004-removal.md).
//
//	removal.go    the stages
//	objects.go    what is deleted by the table of kinds
//	runtime.go    what citadel wrote, volumes and Istio's definitions
//	namespace.go  the mesh's namespace, or what keeps it
//	sidecars.go   pods of users that still run a sidecar
package removal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/mesh-operator/mesh-operator/api/v1alpha1"
	"github.com/mesh-operator/mesh-operator/controllers/installation/kinds"
	"github.com/mesh-operator/mesh-operator/controllers/installation/report"
	"github.com/mesh-operator/mesh-operator/controllers/installation/watch"
	"github.com/mesh-operator/mesh-operator/controllers/installation/write"
	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// The stages of a removal, in their order.
//
// Webhooks go first, because they fail closed: without their servers no pod could be created. Workloads go before what they
// write at run time, or they would write it again. Permissions go after the workloads that use them, and the namespace last.
const (
	stageWebhooks  = "Webhooks"
	stageWorkloads = "Workloads"
	stageRuntime   = "RuntimeObjects"
	stageAccess    = "Access"
	stageNamespace = "Namespace"
)

const maxBlockers = 20

// A removal that waits is continued after minPollInterval, and then in growing intervals while its status stays the same.
const (
	minPollInterval = time.Second
	maxPollInterval = 10 * time.Second
)

// Remover removes one mesh. It remembers nothing but what is expensive to find out.
type Remover struct {
	Client client.Client
	Watch  *watch.Watch
	Writer *write.Writer
	// CRDs returns the definitions of Istio's kinds.
	CRDs func() ([]*unstructured.Unstructured, error)

	sidecars []string      // pods that ran a sidecar when the removal began; nil: not listed yet
	interval time.Duration // between the last two attempts
}

// Result is how far an attempt came.
type Result struct {
	Status   *v1alpha1.RemovalStatus // nil: the mesh is removed
	Sidecars []string                // pods that run a sidecar
	Retry    time.Duration           // when to continue
	Events   []report.Event          // about what stays, once the mesh is removed
}

// removal is one attempt, from the beginning: every stage finds its work done or does it, so it does not matter in which
// state the mesh was or where the last attempt ended.
type removal struct {
	*Remover
	in            *v1alpha1.Installation
	namespace     *metav1.PartialObjectMetadata // of the mesh; nil: gone
	hasAccess     bool                          // the operator's access to the namespace exists
	sidecarPods   []string                      // pods with a sidecar
	rootKept      bool                          // the root of trust stays, for them
	dataKept      bool                          // volumes stay
	namespaceKept bool                          // the namespace stays, because of objects of others in it
	kept          []report.Event                // about what stays on purpose
}

type stage struct {
	name string
	run  func(context.Context) ([]v1alpha1.Blocker, error)
}

// Run removes what it can. After an error, Result says what is known in spite of it.
func (r *Remover) Run(ctx context.Context, in *v1alpha1.Installation) (Result, error) {
	m := removal{Remover: r, in: in}
	status, err := m.remove(ctx)
	err = errors.Join(err, m.listSidecarsOnce(ctx))
	if status == nil && err == nil {
		err = r.Writer.Inventory.Delete(ctx)
	}
	if status == nil && err == nil {
		return Result{Events: m.finalEvents()}, nil
	}
	if status == nil {
		status = LastStatus(in)
	}
	r.interval = nextPollInterval(in.Status.Removal, status, r.interval)
	return Result{Status: status, Sidecars: m.sidecarPods, Retry: r.interval}, err
}

// LastStatus is the status of the last attempt.
func LastStatus(in *v1alpha1.Installation) *v1alpha1.RemovalStatus {
	if in.Status.Removal != nil {
		return in.Status.Removal
	}
	return &v1alpha1.RemovalStatus{Stage: stageWebhooks}
}

// nextPollInterval starts over when the status changed, and doubles while it stays the same.
func nextPollInterval(before, now *v1alpha1.RemovalStatus, last time.Duration) time.Duration {
	if last == 0 || !equality.Semantic.DeepEqual(before, now) {
		return minPollInterval
	}
	return min(2*last, maxPollInterval)
}

// remove returns what it waits for, nil when nothing is left.
func (m *removal) remove(ctx context.Context) (*v1alpha1.RemovalStatus, error) {
	var err error
	if m.namespace, err = Namespace(ctx, m.Client); err != nil {
		return nil, err
	}
	if m.hasAccess, err = m.access(ctx); err != nil {
		return nil, err
	}
	stages := []stage{
		{stageWebhooks, m.webhooks},
		{stageNamespace, m.waitTerminating},
		{stageWorkloads, m.ensureAccess},
		{stageWorkloads, m.workloads},
		{stageRuntime, m.runtimeObjects},
		{stageAccess, m.permissions},
		{stageNamespace, m.lastNamespace},
	}
	for _, stage := range stages {
		blockers, err := stage.run(ctx)
		if err != nil {
			return nil, fmt.Errorf("remove %s: %w", stage.name, err)
		}
		if len(blockers) > 0 {
			status := &v1alpha1.RemovalStatus{Stage: stage.name, Remaining: int32(len(blockers))}
			status.Blockers = blockers[:min(len(blockers), maxBlockers)]
			return status, nil
		}
	}
	return nil, nil
}

// Namespace returns the mesh's namespace from the API server: one that somebody else made is not in the watches.
func Namespace(ctx context.Context, c client.Client) (*metav1.PartialObjectMetadata, error) {
	live, err := apply.Metadata(ctx, c, kindNamespace, types.NamespacedName{Name: owner.MeshNamespace})
	if err != nil {
		return nil, fmt.Errorf("look up namespace %s: %w", owner.MeshNamespace, err)
	}
	return live, nil
}

// managesNamespace reports whether anything in the mesh's namespace may be ours: a namespace that the operator neither made
// nor wrote to is left alone. The access counts beside the inventory, which somebody may have deleted.
func (m *removal) managesNamespace() bool {
	return m.namespace != nil && (ours(m.namespace) || m.hasAccess || len(m.Writer.Inventory.Entries()) > 0)
}

// access reports whether the operator's access to the namespace exists.
func (m *removal) access(ctx context.Context) (bool, error) {
	object := m.Writer.AccessObject()
	key := types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()}
	live, err := apply.Metadata(ctx, m.Client, object.GroupVersionKind(), key)
	if err != nil {
		return false, fmt.Errorf("look up %s: %w", apply.RefOf(object), err)
	}
	return live != nil && owner.Owned(live.Labels), nil
}

// ours reports an object that we made, also one that an earlier removal has left behind.
func ours(object *metav1.PartialObjectMetadata) bool {
	return owner.Owned(object.Labels) || owner.Kept(object)
}

func (m *removal) webhooks(ctx context.Context) ([]v1alpha1.Blocker, error) {
	return nil, m.deleteOwned(ctx, "", kinds.RemovedIn(kinds.WithWebhooks))
}

// waitTerminating waits for a namespace that is already being deleted, by us or by somebody else: citadel may run in it until
// the end, and nothing can be created in it, not even our own access.
func (m *removal) waitTerminating(context.Context) ([]v1alpha1.Blocker, error) {
	if m.namespace == nil || m.namespace.DeletionTimestamp == nil {
		return nil, nil
	}
	return []v1alpha1.Blocker{{Kind: "Namespace", Name: owner.MeshNamespace,
		Reason: "it is being deleted; kubectl get namespace " + owner.MeshNamespace + " -o yaml shows what it waits for"}}, nil
}

// ensureAccess applies the operator's own access, without which nothing in the namespace can be deleted.
func (m *removal) ensureAccess(ctx context.Context) ([]v1alpha1.Blocker, error) {
	if !m.managesNamespace() {
		return nil, nil
	}
	_, err := m.Writer.AnnounceAndApply(ctx, m.Writer.AccessObject())
	return nil, err
}

// workloads deletes what runs and waits until its pods have stopped.
func (m *removal) workloads(ctx context.Context) ([]v1alpha1.Blocker, error) {
	if !m.managesNamespace() {
		return nil, nil
	}
	if err := m.deleteOwned(ctx, owner.MeshNamespace, kinds.RemovedIn(kinds.WithWorkloads)); err != nil {
		return nil, err
	}
	pods, err := m.list(ctx, owner.MeshNamespace, kindPod, ownedLabels)
	if err != nil {
		return nil, err
	}
	var blockers []v1alpha1.Blocker
	for _, pod := range pods {
		blockers = append(blockers, v1alpha1.Blocker{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, Reason: "it is stopping"})
	}
	return blockers, nil
}

// permissions deletes the permissions of the components.
func (m *removal) permissions(ctx context.Context) ([]v1alpha1.Blocker, error) {
	if m.managesNamespace() {
		if err := m.deleteOwned(ctx, owner.MeshNamespace, kinds.RemovedIn(kinds.WithAccess)); err != nil {
			return nil, err
		}
	}
	return nil, m.deleteOwned(ctx, "", kinds.RemovedIn(kinds.WithClusterAccess))
}
