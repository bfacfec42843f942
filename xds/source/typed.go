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
	list     func(*mesh.Inputs)
	mark     func(string)
	handled  cache.ResourceEventHandlerRegistration
	complete atomic.Bool
}

// typedFeeds lists what is watched besides Istio's kinds. Pods that have ended are none of the mesh's business; of the
// Secrets only those of a type that can hold a gateway's credential are read.
func typedFeeds(o Options, mark func(string)) []feed {
	all := informers.NewSharedInformerFactory(o.Kubernetes, 0)
	running := selecting(o, "", "status.phase!=Succeeded,status.phase!=Failed")
	named := selecting(o, o.MeshNamespace, fields.OneTermEqualSelector(metav1.ObjectNameField, meshConfigName).String())
	tls := selecting(o, o.MeshNamespace, fields.OneTermEqualSelector("type", string(corev1.SecretTypeTLS)).String())
	opaque := selecting(o, o.MeshNamespace, fields.OneTermEqualSelector("type", string(corev1.SecretTypeOpaque)).String())

	services, slices := all.Core().V1().Services().Informer(), all.Discovery().V1().EndpointSlices().Informer()
	namespaces, pods := all.Core().V1().Namespaces().Informer(), running.Core().V1().Pods().Informer()
	config := named.Core().V1().ConfigMaps().Informer()
	tlsSecrets, opaqueSecrets := tls.Core().V1().Secrets().Informer(), opaque.Core().V1().Secrets().Informer()

	meshConfig := newMeshConfigReader(o.Logger)
	secrets := func(in *mesh.Inputs) {
		in.Secrets = append(listOf[corev1.Secret](tlsSecrets), listOf[corev1.Secret](opaqueSecrets)...)
	}
	return []feed{
		newTypedFeed("services", o.Logger, services, mark, func(in *mesh.Inputs) { in.Services = listOf[corev1.Service](services) }),
		newTypedFeed("endpointslices", o.Logger, slices, mark, func(in *mesh.Inputs) { in.EndpointSlices = listOf[discoveryv1.EndpointSlice](slices) }),
		newTypedFeed("pods", o.Logger, pods, mark, func(in *mesh.Inputs) { in.Pods = listOf[corev1.Pod](pods) }),
		newTypedFeed("namespaces", o.Logger, namespaces, mark, func(in *mesh.Inputs) { in.Namespaces = listOf[corev1.Namespace](namespaces) }),
		newTypedFeed("configmap istio", o.Logger, config, mark, func(in *mesh.Inputs) { in.MeshConfig = meshConfig.read(listOf[corev1.ConfigMap](config)) }),
		newTypedFeed("tls secrets", o.Logger, tlsSecrets, mark, secrets),
		newTypedFeed("opaque secrets", o.Logger, opaqueSecrets, mark, secrets),
	}
}

func selecting(o Options, namespace, selector string) informers.SharedInformerFactory {
	return informers.NewSharedInformerFactoryWithOptions(o.Kubernetes, 0, informers.WithNamespace(namespace),
		informers.WithTweakListOptions(func(l *metav1.ListOptions) { l.FieldSelector = selector }))
}

func newTypedFeed(kind string, log *slog.Logger, informer cache.SharedIndexInformer, mark func(string), list func(*mesh.Inputs)) *typedFeed {
	f := &typedFeed{kind: kind, informer: informer, list: list, mark: mark}
	// The two setters and AddEventHandler fail only on an informer that was started or stopped.
	_ = informer.SetTransform(trim)
	_ = informer.SetWatchErrorHandlerWithContext(logWatchError(log, kind))
	f.handled, _ = informer.AddEventHandler(handler(func() { mark(kind) }))
	return f
}

func (f *typedFeed) name() string { return f.kind }
func (f *typedFeed) synced() bool { return f.complete.Load() }

func (f *typedFeed) fill(in *mesh.Inputs, changed bool) {
	if changed {
		f.list(in)
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

// handler calls changed for every event but those that change nothing that is kept of an object.
func handler(changed func()) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { changed() },
		DeleteFunc: func(any) { changed() },
		UpdateFunc: func(before, after any) {
			if !same(before, after) {
				changed()
			}
		},
	}
}

// same compares two trimmed objects but for their resource versions. The kubelet writes pods often, mostly to change what
// was trimmed.
func same(before, after any) bool {
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

func listOf[T any](informer cache.SharedIndexInformer) []*T {
	items := informer.GetStore().List()
	out := make([]*T, 0, len(items))
	for _, item := range items {
		if object, ok := item.(*T); ok {
			out = append(out, object)
		}
	}
	return out
}

func logWatchError(log *slog.Logger, kind string) cache.WatchErrorHandlerWithContext {
	return func(ctx context.Context, _ *cache.Reflector, err error) {
		if ctx.Err() == nil {
			log.Warn("watch broke, trying again", "kind", kind, "error", err)
		}
	}
}
