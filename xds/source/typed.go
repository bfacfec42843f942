package source

import (
	"context"
	"log/slog"
	"reflect"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/table"

	"github.com/mesh-operator/mesh-operator/internal/kube"
)

// meshConfigName is the ConfigMap with the mesh configuration, meshConfigKey its key.
const (
	meshConfigName = "istio"
	meshConfigKey  = "mesh"
)

// typedFeed is a watched resource of Kubernetes itself.
type typedFeed struct {
	kind     string
	informer cache.SharedIndexInformer
	store    store
	mark     func(string)
	handled  cache.ResourceEventHandlerRegistration
	complete atomic.Bool
}

// typedFeeds lists what is watched besides Istio's kinds. Pods that have ended are not watched; of the
// Secrets only those of a type that can hold a gateway's credential are.
func typedFeeds(o Options, mark func(string)) []feed {
	all := informers.NewSharedInformerFactory(o.Kubernetes, 0)
	running := selecting(o, "", "status.phase!=Succeeded,status.phase!=Failed")
	named := selecting(o, o.MeshNamespace, fields.OneTermEqualSelector(metav1.ObjectNameField, meshConfigName).String())
	tls := selecting(o, o.MeshNamespace, fields.OneTermEqualSelector("type", string(corev1.SecretTypeTLS)).String())
	opaque := selecting(o, o.MeshNamespace, fields.OneTermEqualSelector("type", string(corev1.SecretTypeOpaque)).String())

	services, slices := all.Core().V1().Services().Informer(), all.Discovery().V1().EndpointSlices().Informer()
	pods, config := running.Core().V1().Pods().Informer(), named.Core().V1().ConfigMaps().Informer()
	tlsSecrets, opaqueSecrets := tls.Core().V1().Secrets().Informer(), opaque.Core().V1().Secrets().Informer()

	secrets := newStore(func(in *mesh.Inputs) *table.Table[*corev1.Secret] { return &in.Secrets })

	watch := func(kind string, informer cache.SharedIndexInformer, k store) feed {
		return newTypedFeed(kind, o.Logger, informer, mark, k, o.Event)
	}
	return []feed{
		watch("services", services, newStore(func(in *mesh.Inputs) *table.Table[*corev1.Service] { return &in.Services })),
		watch("endpointslices", slices, newStore(func(in *mesh.Inputs) *table.Table[*discoveryv1.EndpointSlice] { return &in.EndpointSlices })),
		watch("pods", pods, newStore(func(in *mesh.Inputs) *table.Table[*corev1.Pod] { return &in.Pods })),
		watch("configmap istio", config, newMeshConfigReader(o.Logger)),
		watch("tls secrets", tlsSecrets, secrets),
		watch("opaque secrets", opaqueSecrets, secrets),
	}
}

func selecting(o Options, namespace, selector string) informers.SharedInformerFactory {
	return informers.NewSharedInformerFactoryWithOptions(o.Kubernetes, 0, informers.WithNamespace(namespace),
		informers.WithTweakListOptions(func(l *metav1.ListOptions) { l.FieldSelector = selector }))
}

func newTypedFeed(kind string, log *slog.Logger, informer cache.SharedIndexInformer, mark func(string), k store, event func(string, string)) *typedFeed {
	f := &typedFeed{kind: kind, informer: informer, store: k, mark: mark}
	// The two setters and AddEventHandler fail only on an informer that was started or stopped.
	_ = informer.SetTransform(trim)
	_ = informer.SetWatchErrorHandlerWithContext(logWatchError(log, kind))
	f.handled, _ = informer.AddEventHandler(counted(f.handler(), kind, event))
	return f
}

func (f *typedFeed) name() string { return f.kind }
func (f *typedFeed) synced() bool { return f.complete.Load() }

func (f *typedFeed) fill(in *mesh.Inputs, changed bool) {
	if changed {
		f.store.fill(in)
	}
}

func (f *typedFeed) run(ctx context.Context) {
	runInformer(ctx, f.informer, f.handled, func() {
		f.complete.Store(true)
		f.mark(f.kind)
	})
}

// runInformer runs an informer until ctx ends and calls synced once when the first list has been handled.
func runInformer(ctx context.Context, informer cache.SharedIndexInformer, handled cache.ResourceEventHandlerRegistration, synced func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if cache.WaitForCacheSync(ctx.Done(), handled.HasSynced) {
			synced()
		}
	}()
	informer.RunWithContext(ctx)
	<-done
}

// handler stores changed objects, and ignores events that change nothing of what is stored.
func (f *typedFeed) handler() cache.ResourceEventHandlerFuncs {
	set := func(object any) {
		f.store.set(object)
		f.mark(f.kind)
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc: set,
		UpdateFunc: func(before, after any) {
			if !equalIgnoringVersion(before, after) {
				set(after)
			}
		},
		DeleteFunc: func(object any) {
			f.store.remove(kube.Deleted(object))
			f.mark(f.kind)
		},
	}
}

// counted reports the events of a handler, those too that change nothing.
func counted(h cache.ResourceEventHandlerFuncs, resource string, event func(resource, event string)) cache.ResourceEventHandlerFuncs {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(object any) {
			event(resource, "add")
			h.AddFunc(object)
		},
		UpdateFunc: func(before, after any) {
			event(resource, "update")
			h.UpdateFunc(before, after)
		},
		DeleteFunc: func(object any) {
			event(resource, "delete")
			h.DeleteFunc(object)
		},
	}
}

// equalIgnoringVersion compares two trimmed objects but for their resource versions. The kubelet writes pods often, mostly to change what
// was trimmed.
func equalIgnoringVersion(before, after any) bool {
	a, ok := before.(metav1.Object)
	b, also := after.(metav1.Object)
	if !ok || !also {
		return false
	}
	version := b.GetResourceVersion()
	if a.GetResourceVersion() == version {
		return true
	}
	copied := reflect.New(reflect.TypeOf(after).Elem())
	copied.Elem().Set(reflect.ValueOf(after).Elem())
	copied.Interface().(metav1.Object).SetResourceVersion(a.GetResourceVersion())
	return reflect.DeepEqual(before, copied.Interface())
}

func logWatchError(log *slog.Logger, kind string) cache.WatchErrorHandlerWithContext {
	return func(ctx context.Context, _ *cache.Reflector, err error) {
		if ctx.Err() == nil {
			log.Warn("watch broke, trying again", "kind", kind, "error", err)
		}
	}
}
