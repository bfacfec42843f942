package ca

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/mesh-operator/mesh-operator/internal/kube"
)

// watches are the three things that citadel looks at. ConfigMap and Secret are selected by name, so that RBAC can restrict
// the watch to these names and no other object ever reaches this process.
type watches struct {
	namespaces informers.SharedInformerFactory
	bundles    informers.SharedInformerFactory
	root       informers.SharedInformerFactory
}

func newWatches(client kubernetes.Interface, meshNamespace string) watches {
	return watches{
		namespaces: informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(dropManagedFields)),
		bundles:    informers.NewSharedInformerFactoryWithOptions(client, 0, byName(bundleName), informers.WithTransform(dropManagedFields)),
		root: informers.NewSharedInformerFactoryWithOptions(client, 0, byName(rootSecret), informers.WithNamespace(meshNamespace),
			informers.WithTransform(dropContent)),
	}
}

func byName(name string) informers.SharedInformerOption {
	return informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
	})
}

func dropManagedFields(object any) (any, error) {
	if o, ok := object.(metav1.Object); ok {
		o.SetManagedFields(nil)
	}
	return object, nil
}

// dropContent leaves of the root Secret that it changed: the root store reads it itself, past the cache.
func dropContent(object any) (any, error) {
	if o, ok := object.(metav1.Object); ok {
		return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
			Namespace: o.GetNamespace(), Name: o.GetName(), UID: o.GetUID(), ResourceVersion: o.GetResourceVersion(),
		}}, nil
	}
	return object, nil
}

// addHandlers notifies on every change: root for the root store, the publisher by the name of a namespace.
func (w watches) addHandlers(root func(), p *publisher) error {
	namespace := func(o metav1.Object) {
		if p.queue.Add(o.GetName()); o.GetName() == p.meshNamespace {
			p.enqueueAll() // its uid is in every bundle
		}
	}
	for informer, handle := range map[cache.SharedIndexInformer]func(metav1.Object){
		w.namespaces.Core().V1().Namespaces().Informer(): namespace,
		w.bundles.Core().V1().ConfigMaps().Informer():    func(o metav1.Object) { p.queue.Add(o.GetNamespace()) },
		w.root.Core().V1().Secrets().Informer():          func(metav1.Object) { root() },
	} {
		if _, err := informer.AddEventHandler(onChange(handle)); err != nil {
			return fmt.Errorf("watch: %w", err)
		}
	}
	return nil
}

func onChange(handle func(metav1.Object)) cache.ResourceEventHandlerFuncs {
	pass := func(object any) {
		if o, ok := kube.Deleted(object).(metav1.Object); ok {
			handle(o)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc: pass,
		UpdateFunc: func(before, after any) {
			was, wasOK := before.(metav1.Object)
			is, isOK := after.(metav1.Object)
			if wasOK && isOK && was.GetResourceVersion() != is.GetResourceVersion() {
				handle(is)
			}
		},
		DeleteFunc: pass,
	}
}

// start begins watching and waits for the first lists.
func (w watches) start(ctx context.Context) error {
	for _, factory := range []informers.SharedInformerFactory{w.namespaces, w.bundles, w.root} {
		factory.Start(ctx.Done())
	}
	for _, factory := range []informers.SharedInformerFactory{w.namespaces, w.bundles, w.root} {
		for what, synced := range factory.WaitForCacheSync(ctx.Done()) {
			if !synced {
				return fmt.Errorf("list %s: %w", what, context.Cause(ctx))
			}
		}
	}
	return nil
}

// stop waits until nothing of the watches runs any more; their context must have ended.
func (w watches) stop() {
	for _, factory := range []informers.SharedInformerFactory{w.namespaces, w.bundles, w.root} {
		factory.Shutdown()
	}
}
