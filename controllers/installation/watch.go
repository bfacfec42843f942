package installation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"github.com/mesh-operator/mesh-operator/internal/apply"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// Watch keeps what the operator has to know about the cluster in memory and says when it changed: the metadata of everything
// we own, because that is enough to see drift, and Deployments, Services and Pods of the mesh in full, because their status
// says how the mesh does and where it is reached.
//
// It is no part of the manager's cache, because it comes and goes: the operator may look into the mesh's namespace only
// after it has created it, and must not keep asking after it has removed it.
type Watch struct {
	metadata metadata.Interface
	kube     kubernetes.Interface
	log      *slog.Logger
	events   chan event.GenericEvent

	ctx     context.Context // of Start; sessions end with it
	started chan struct{}
	cluster *session
	mesh    *session
	istio   *session
	uid     types.UID // of the namespace that mesh looks into
}

// session is a group of informers that start and stop together.
type session struct {
	stop      context.CancelFunc
	stores    map[schema.GroupKind]cache.SharedIndexInformer
	deploys   cache.SharedIndexInformer
	services  cache.SharedIndexInformer
	pods      cache.SharedIndexInformer
	lastError atomic.Pointer[error] // the last reason why something could not be listed or watched
}

type watched struct {
	schema.GroupVersionResource
	kind string
}

func kindOf(group, version, resource, kind string) watched {
	return watched{schema.GroupVersionResource{Group: group, Version: version, Resource: resource}, kind}
}

const (
	rbacGroup      = "rbac.authorization.k8s.io"
	admissionGroup = "admissionregistration.k8s.io"
)

var (
	clusterKinds = []watched{
		kindOf("", "v1", "namespaces", "Namespace"),
		kindOf(rbacGroup, "v1", "clusterroles", "ClusterRole"),
		kindOf(rbacGroup, "v1", "clusterrolebindings", "ClusterRoleBinding"),
		kindOf(admissionGroup, "v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration"),
		kindOf(admissionGroup, "v1", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration"),
		kindOf(admissionGroup, "v1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy"),
		kindOf(admissionGroup, "v1", "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding"),
		kindOf("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition"),
	}
	meshKinds = []watched{
		kindOf("", "v1", "configmaps", "ConfigMap"),
		kindOf("", "v1", "serviceaccounts", "ServiceAccount"),
		kindOf(rbacGroup, "v1", "roles", "Role"),
		kindOf(rbacGroup, "v1", "rolebindings", "RoleBinding"),
		kindOf("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler"),
		kindOf("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget"),
	}
	istioKinds = []watched{kindOf("security.istio.io", "v1", "peerauthentications", "PeerAuthentication")}
)

// ownedSelector selects everything that is ours.
var ownedSelector = labels.SelectorFromSet(labels.Set{
	owner.LabelManagedBy: owner.ManagedBy, owner.LabelInstallation: owner.Installation,
}).String()

// NewWatch returns a Watch that starts nothing.
func NewWatch(m metadata.Interface, k kubernetes.Interface, log *slog.Logger) *Watch {
	return &Watch{metadata: m, kube: k, log: log, events: make(chan event.GenericEvent, 64), started: make(chan struct{})}
}

// Start watches what lives at cluster scope, until ctx ends.
func (w *Watch) Start(ctx context.Context) error {
	w.ctx = ctx
	w.cluster = w.open(clusterKinds, "")
	if err := w.cluster.sync(ctx); err != nil {
		return err
	}
	close(w.started)
	w.resync(ctx)
	return nil
}

// resyncPeriod is how long nobody looks at a mesh in which nothing happens.
const resyncPeriod = 12 * time.Hour

// resync looks at a mesh at rest until ctx ends: the end of a root of trust comes nearer without an event.
func (w *Watch) resync(ctx context.Context) {
	ticker := time.NewTicker(resyncPeriod)
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

// NeedLeaderElection is true: who does not lead has nothing to look for.
func (w *Watch) NeedLeaderElection() bool { return true }

// Ready waits until the first look around is complete.
func (w *Watch) Ready(ctx context.Context) error {
	select {
	case <-w.started:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for watches: %w", ctx.Err())
	}
}

// OpenMesh watches the mesh's namespace with this UID; another UID is another namespace, of which nothing known is true.
func (w *Watch) OpenMesh(ctx context.Context, uid types.UID) error {
	if w.mesh != nil && w.uid == uid {
		return nil
	}
	w.CloseMesh()
	s := w.open(meshKinds, owner.MeshNamespace)
	factory := informers.NewSharedInformerFactoryWithOptions(w.kube, 0, informers.WithNamespace(owner.MeshNamespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = ownedSelector }))
	s.deploys = factory.Apps().V1().Deployments().Informer()
	s.services = factory.Core().V1().Services().Informer()
	s.pods = factory.Core().V1().Pods().Informer()
	s.stores[schema.GroupKind{Group: "apps", Kind: "Deployment"}] = s.deploys
	s.stores[schema.GroupKind{Kind: "Service"}] = s.services
	for _, informer := range []cache.SharedIndexInformer{s.deploys, s.services, s.pods} {
		w.notify(s, informer)
	}
	ctxSession, stop := context.WithCancel(w.ctx)
	closeMetadata := s.stop
	s.stop = func() { stop(); closeMetadata() }
	factory.Start(ctxSession.Done())
	if err := s.sync(ctx); err != nil {
		s.stop()
		return err
	}
	w.mesh, w.uid = s, uid
	return nil
}

// OpenIstio watches the kinds of Istio that we own objects of; their definitions have to be there.
func (w *Watch) OpenIstio(ctx context.Context) error {
	if w.istio != nil {
		return nil
	}
	s := w.open(istioKinds, owner.MeshNamespace)
	if err := s.sync(ctx); err != nil {
		s.stop()
		return err
	}
	w.istio = s
	return nil
}

// CloseMesh forgets the mesh's namespace.
func (w *Watch) CloseMesh() {
	for _, s := range []**session{&w.mesh, &w.istio} {
		if *s != nil {
			(*s).stop()
			*s = nil
		}
	}
	w.uid = ""
}

// Lookup returns the metadata of an object of ours, nil when there is none.
func (w *Watch) Lookup(ref apply.Ref) metav1.Object {
	key := ref.Name
	if ref.Namespace != "" {
		key = ref.Namespace + "/" + ref.Name
	}
	for _, s := range []*session{w.cluster, w.mesh, w.istio} {
		if s == nil {
			continue
		}
		informer, ok := s.stores[schema.GroupKind{Group: ref.Group, Kind: ref.Kind}]
		if !ok {
			continue
		}
		object, exists, err := informer.GetStore().GetByKey(key)
		if err != nil || !exists {
			return nil
		}
		accessor, err := meta.Accessor(object)
		if err != nil {
			return nil
		}
		return accessor
	}
	return nil
}

// Deployments returns the mesh's Deployments by name.
func (w *Watch) Deployments() map[string]*appsv1.Deployment {
	out := map[string]*appsv1.Deployment{}
	if w.mesh == nil {
		return out
	}
	for _, object := range w.mesh.deploys.GetStore().List() {
		if d, ok := object.(*appsv1.Deployment); ok {
			out[d.Name] = d
		}
	}
	return out
}

// Services returns the mesh's Services by name.
func (w *Watch) Services() map[string]*corev1.Service {
	out := map[string]*corev1.Service{}
	if w.mesh == nil {
		return out
	}
	for _, object := range w.mesh.services.GetStore().List() {
		if s, ok := object.(*corev1.Service); ok {
			out[s.Name] = s
		}
	}
	return out
}

// Pods returns the mesh's Pods.
func (w *Watch) Pods() []*corev1.Pod {
	if w.mesh == nil {
		return nil
	}
	var out []*corev1.Pod
	for _, object := range w.mesh.pods.GetStore().List() {
		if p, ok := object.(*corev1.Pod); ok {
			out = append(out, p)
		}
	}
	return out
}

func (w *Watch) open(kinds []watched, namespace string) *session {
	ctx, stop := context.WithCancel(w.ctx)
	s := &session{stop: stop, stores: map[schema.GroupKind]cache.SharedIndexInformer{}}
	factory := metadatainformer.NewFilteredSharedInformerFactory(w.metadata, 0, namespace,
		func(o *metav1.ListOptions) { o.LabelSelector = ownedSelector })
	for _, kind := range kinds {
		informer := factory.ForResource(kind.GroupVersionResource).Informer()
		w.notify(s, informer)
		s.stores[schema.GroupKind{Group: kind.Group, Kind: kind.kind}] = informer
	}
	factory.Start(ctx.Done())
	return s
}

// Trigger makes the operator look again.
func (w *Watch) Trigger() { w.send(&metav1.PartialObjectMetadata{}) }

// send does not wait: nobody reads while the queue is full, but then a reconcile is due anyway.
func (w *Watch) send(object client.Object) {
	select {
	case w.events <- event.GenericEvent{Object: object}:
	default:
	}
}

// notify sends an event for whatever changes, and has the session hear what keeps the informer from working.
func (w *Watch) notify(s *session, informer cache.SharedIndexInformer) {
	send := func(object any) {
		if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = tombstone.Obj
		}
		if o, ok := object.(client.Object); ok {
			w.send(o)
		}
	}
	handler := cache.ResourceEventHandlerFuncs{AddFunc: send, DeleteFunc: send, UpdateFunc: func(_, now any) { send(now) }}
	_, err := informer.AddEventHandler(handler)
	if err = errors.Join(err, informer.SetWatchErrorHandlerWithContext(s.onWatchError)); err != nil {
		w.log.Error("Cannot watch", "error", err) // only an informer that runs or has stopped refuses
	}
}

// onWatchError is called by informers, which then try again.
func (s *session) onWatchError(ctx context.Context, reflector *cache.Reflector, err error) {
	s.lastError.Store(&err)
	cache.DefaultWatchErrorHandler(ctx, reflector, err)
}

// sync waits for the first list of every informer; a permission that was granted a moment ago may take a moment to work.
func (s *session) sync(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	synced := make([]cache.InformerSynced, 0, len(s.stores)+1)
	for _, informer := range s.stores {
		synced = append(synced, informer.HasSynced)
	}
	if s.pods != nil {
		synced = append(synced, s.pods.HasSynced)
	}
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		err := context.DeadlineExceeded
		if lastError := s.lastError.Load(); lastError != nil {
			err = *lastError
		}
		return fmt.Errorf("watch the mesh's objects: %w", err)
	}
	return nil
}
