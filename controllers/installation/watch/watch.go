// Package watch holds what the operator knows about the cluster and triggers a reconcile when it changed: the metadata of
// every object that is ours, which is enough to detect drift, and the workloads, Services and Pods of the mesh in full,
// because their status says how the mesh does and where users reach it. The table of kinds says which kind is watched how.
//
// It is no part of the manager's cache, because it is opened and closed: the operator may read the mesh's namespace only
// after it has created it, and must not try to after it has removed it.
package watch

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/mesh-operator/mesh-operator/controllers/installation/kinds"
	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/kube"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// Watch is the operator's view of the cluster. Its methods other than Start and Trigger are for the reconciler alone.
type Watch struct {
	// Events has an event for every change.
	Events chan event.GenericEvent

	metadata metadata.Interface
	kube     kubernetes.Interface
	log      *slog.Logger

	ctx     context.Context // of Start; informers end with it
	started chan struct{}
	cluster *group
	mesh    *group
	istio   *group
	uid     types.UID // of the namespace that mesh watches
}

// New returns a Watch that starts nothing.
func New(m metadata.Interface, k kubernetes.Interface, log *slog.Logger) *Watch {
	return &Watch{metadata: m, kube: k, log: log, Events: make(chan event.GenericEvent, 64), started: make(chan struct{})}
}

// Kinds by the group of informers that watches them: at cluster scope from the start, in the mesh's namespace while there is
// one, and kinds of Istio once their definitions are established.
func clusterKinds() []kinds.Kind {
	return kinds.Where(func(k kinds.Kind) bool { return k.Watch != kinds.NotWatched && !k.Namespaced })
}

func meshKinds() []kinds.Kind {
	return kinds.Where(func(k kinds.Kind) bool { return k.Watch != kinds.NotWatched && k.Namespaced && !ofIstio(k) })
}

func istioKinds() []kinds.Kind {
	return kinds.Where(func(k kinds.Kind) bool { return k.Watch != kinds.NotWatched && k.Namespaced && ofIstio(k) })
}

func ofIstio(k kinds.Kind) bool { return strings.HasSuffix(k.Group, ".istio.io") }

// Start watches the kinds at cluster scope until ctx ends.
func (w *Watch) Start(ctx context.Context) error {
	w.ctx = ctx
	w.cluster = w.open(clusterKinds(), "")
	if err := w.cluster.sync(ctx); err != nil {
		return err
	}
	close(w.started)
	w.resync(ctx)
	return nil
}

// ResyncPeriod is how long a mesh without events is not reconciled.
const ResyncPeriod = 12 * time.Hour

// resync triggers a reconcile every ResyncPeriod until ctx ends: the expiry of a root of trust comes nearer without an event.
func (w *Watch) resync(ctx context.Context) {
	ticker := time.NewTicker(ResyncPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			w.Trigger()
		}
	}
}

// NeedLeaderElection is true: a replica that does not lead reconciles nothing.
func (w *Watch) NeedLeaderElection() bool { return true }

// Ready waits until the first lists at cluster scope are complete.
func (w *Watch) Ready(ctx context.Context) error {
	select {
	case <-w.started:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for watches: %w", ctx.Err())
	}
}

// MeshUID is the UID of the namespace that is watched; empty: none.
func (w *Watch) MeshUID() types.UID { return w.uid }

// MeshOpen reports whether the mesh's namespace is watched.
func (w *Watch) MeshOpen() bool { return w.mesh != nil }

// OpenMesh watches the mesh's namespace with this UID. Another UID is another namespace, of which nothing known is true.
func (w *Watch) OpenMesh(ctx context.Context, uid types.UID) error {
	if w.mesh != nil && w.uid == uid {
		return nil
	}
	w.CloseMesh()
	g := w.open(meshKinds(), owner.MeshNamespace)
	if err := g.sync(ctx); err != nil {
		g.stop()
		return err
	}
	w.mesh, w.uid = g, uid
	return nil
}

// OpenIstio watches the kinds of Istio that we own objects of; their definitions have to be established.
func (w *Watch) OpenIstio(ctx context.Context) error {
	if w.istio != nil {
		return nil
	}
	g := w.open(istioKinds(), owner.MeshNamespace)
	if err := g.sync(ctx); err != nil {
		g.stop()
		return err
	}
	w.istio = g
	return nil
}

// CloseMesh stops watching the mesh's namespace.
func (w *Watch) CloseMesh() {
	for _, g := range []**group{&w.mesh, &w.istio} {
		if *g != nil {
			(*g).stop()
			*g = nil
		}
	}
	w.uid = ""
}

// Lookup returns the metadata of an object of ours, nil when there is none.
func (w *Watch) Lookup(ref apply.Ref) metav1.Object {
	object := w.get(ref)
	if object == nil {
		return nil
	}
	accessor, err := meta.Accessor(object)
	if err != nil {
		return nil
	}
	return accessor
}

func (w *Watch) get(ref apply.Ref) any {
	key := ref.Name
	if ref.Namespace != "" {
		key = ref.Namespace + "/" + ref.Name
	}
	for _, g := range []*group{w.cluster, w.mesh, w.istio} {
		if informer := g.informer(ref.Group, ref.Kind); informer != nil {
			object, _, err := informer.GetStore().GetByKey(key)
			if err != nil {
				return nil
			}
			return object
		}
	}
	return nil
}

// Workload returns a workload of the mesh as the API server sent it, nil when there is none.
func (w *Watch) Workload(kind kinds.Kind, name string) *unstructured.Unstructured {
	object := w.get(apply.Ref{Group: kind.Group, Kind: kind.Kind, Namespace: owner.MeshNamespace, Name: name})
	typed, ok := object.(runtime.Object)
	if !ok {
		return nil
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(typed)
	if err != nil {
		return nil
	}
	out := &unstructured.Unstructured{Object: content}
	out.SetGroupVersionKind(kind.GroupVersionKind) // a typed informer drops it
	return out
}

// Services returns the mesh's Services by name.
func (w *Watch) Services() map[string]*corev1.Service {
	out := map[string]*corev1.Service{}
	for _, s := range list[*corev1.Service](w.mesh, "", "Service") {
		out[s.Name] = s
	}
	return out
}

// Pods returns the mesh's Pods.
func (w *Watch) Pods() []*corev1.Pod { return list[*corev1.Pod](w.mesh, "", "Pod") }

func list[T any](g *group, apiGroup, kind string) []T {
	informer := g.informer(apiGroup, kind)
	if informer == nil {
		return nil
	}
	var out []T
	for _, object := range informer.GetStore().List() {
		if typed, ok := object.(T); ok {
			out = append(out, typed)
		}
	}
	return out
}

// Trigger makes the operator reconcile.
func (w *Watch) Trigger() { w.send(&metav1.PartialObjectMetadata{}) }

// send does not wait: while the queue is full a reconcile is due anyway.
func (w *Watch) send(object client.Object) {
	select {
	case w.Events <- event.GenericEvent{Object: object}:
	default:
	}
}

// changed is the handler of every informer.
func (w *Watch) changed(object any) {
	if o, ok := kube.Deleted(object).(client.Object); ok {
		w.send(o)
	}
}
