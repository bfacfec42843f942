package ca

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	applymetav1 "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/client-go/kubernetes"
	listersv1 "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/util/workqueue"

	"github.com/mesh-operator/mesh-operator/internal/names"
	"github.com/mesh-operator/mesh-operator/internal/owner"
	"github.com/mesh-operator/mesh-operator/internal/trust"
)

// How the trust bundle is published; every proxy mounts it.
const (
	bundleName   = names.RootsConfigMap
	bundleKey    = names.RootsKey
	bundleLabel  = "istio.io/config"
	fieldManager = "istio-citadel"
)

// publisher keeps the bundle in a ConfigMap of every namespace. Every replica runs one: they write the same, and what is
// as it should be costs no call.
type publisher struct {
	client        kubernetes.Interface
	meshNamespace string
	namespaces    listersv1.NamespaceLister
	configMaps    listersv1.ConfigMapLister
	authority     func() (*authority, error)
	queue         workqueue.TypedRateLimitingInterface[string] // names of namespaces
	log           *slog.Logger
}

func newQueue() workqueue.TypedRateLimitingInterface[string] {
	return workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](100*time.Millisecond, time.Minute))
}

// Run writes until ctx ends. The caches must have synced.
func (p *publisher) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, p.queue.ShutDown)
	defer stop()
	p.enqueueAll()
	for {
		namespace, shutdown := p.queue.Get()
		if shutdown {
			return nil
		}
		if err := p.publish(ctx, namespace); err != nil {
			p.log.Warn("trust bundle not published", "namespace", namespace, "error", err)
			p.queue.AddRateLimited(namespace)
		} else {
			p.queue.Forget(namespace)
		}
		p.queue.Done(namespace)
	}
}

// enqueueAll looks at every namespace again: the root or the mesh's namespace has changed.
func (p *publisher) enqueueAll() {
	namespaces, err := p.namespaces.List(labels.Everything())
	if err != nil {
		return // an indexer has no errors
	}
	for _, namespace := range namespaces {
		p.queue.Add(namespace.Name)
	}
}

// publish brings one namespace's bundle to what it should be.
func (p *publisher) publish(ctx context.Context, name string) error {
	current, err := p.authority()
	if err != nil {
		return nil //nolint:nilerr // enqueueAll follows when there is a root
	}
	mesh, _ := p.namespaces.Get(p.meshNamespace) // the error of a store is that there is none
	if mesh == nil || isTerminating(mesh) {
		return nil // the mesh is being removed: its bundles go with its namespace
	}
	namespace, _ := p.namespaces.Get(name)
	if namespace == nil || isTerminating(namespace) || !receivesBundle(name) {
		return nil
	}
	existing, err := p.configMaps.ConfigMaps(name).Get(bundleName)
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	if existing != nil && !isOurs(existing, mesh.UID) {
		p.log.Error("a trust bundle of somebody else is in the way; sidecars of this namespace will not trust the mesh until it is deleted",
			"namespace", name, "configmap", bundleName)
		return nil
	}
	if existing != nil && isUpToDate(existing, mesh.UID, current.bundle) {
		return nil
	}
	return p.apply(ctx, name, mesh, current.bundle)
}

func (p *publisher) apply(ctx context.Context, namespace string, mesh *corev1.Namespace, bundle trust.Bundle) error {
	_, err := p.client.CoreV1().ConfigMaps(namespace).Apply(ctx, applycorev1.ConfigMap(bundleName, namespace).
		WithLabels(bundleLabels()).
		WithOwnerReferences(applymetav1.OwnerReference().WithAPIVersion("v1").WithKind("Namespace").WithName(mesh.Name).WithUID(mesh.UID)).
		WithData(map[string]string{bundleKey: string(bundle.PEM())}),
		metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	if apierrors.IsNotFound(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return nil // the namespace went away meanwhile
	}
	if err != nil {
		return fmt.Errorf("apply configmap %s: %w", bundleName, err)
	}
	p.log.Info("trust bundle published", "namespace", namespace)
	return nil
}

func bundleLabels() map[string]string {
	return owner.Label(map[string]string{bundleLabel: "true"}, component)
}

// receivesBundle is false for the namespaces of Kubernetes itself, where no workload of the mesh runs.
func receivesBundle(namespace string) bool { return !strings.HasPrefix(namespace, "kube-") }

func isTerminating(namespace *corev1.Namespace) bool { return namespace.DeletionTimestamp != nil }

// isOurs is true for what we wrote, also when somebody has edited the labels away.
func isOurs(cm *corev1.ConfigMap, mesh types.UID) bool {
	return owner.Owned(cm.Labels) || ownedBy(cm, mesh)
}

func ownedBy(cm *corev1.ConfigMap, mesh types.UID) bool {
	for _, ref := range cm.OwnerReferences {
		if ref.UID == mesh {
			return true
		}
	}
	return false
}

// isUpToDate reports whether a bundle needs no write. What others added to the object is theirs.
func isUpToDate(cm *corev1.ConfigMap, mesh types.UID, want trust.Bundle) bool {
	for key, value := range bundleLabels() {
		if cm.Labels[key] != value {
			return false
		}
	}
	have, err := trust.Parse([]byte(cm.Data[bundleKey]))
	return err == nil && have.Equal(want) && ownedBy(cm, mesh)
}
