package source

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"

	"github.com/mesh-operator/mesh-operator/internal/istioconfig"
	"github.com/mesh-operator/mesh-operator/internal/kube"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

// retryInterval is the time between two requests for a kind that is not installed.
const retryInterval = 5 * time.Second

// configFeed watches one of Istio's kinds. It decodes an object when it changes, not when the inputs are listed.
type configFeed struct {
	kind     istioconfig.Kind
	client   dynamic.Interface
	api      discovery.DiscoveryInterface
	log      *slog.Logger
	changed  func()
	event    func(resource, event string)
	every    time.Duration // between two requests for a kind that is not installed
	complete atomic.Bool
	decode   func(*unstructured.Unstructured) (istioconfig.Object, error)

	objects tableStore[*istioconfig.Object]
}

func newConfigFeed(o Options, kind istioconfig.Kind, mark func(string)) *configFeed {
	f := &configFeed{
		kind: kind, client: o.Dynamic, api: o.Kubernetes.Discovery(), every: retryInterval, decode: istioconfig.Decode, event: o.Event,
		log: o.Logger.With("kind", kind),
	}
	f.objects.target = func(in *mesh.Inputs) *table.Table[*istioconfig.Object] { return &in.Config }
	f.changed = func() { mark(f.name()) }
	return f
}

func (f *configFeed) name() string { return f.kind.Resource().Resource }
func (f *configFeed) synced() bool { return f.complete.Load() }

func (f *configFeed) fill(in *mesh.Inputs, changed bool) {
	if changed {
		f.objects.fill(in)
	}
}

// run waits until the API server serves the kind, then watches it.
func (f *configFeed) run(ctx context.Context) {
	if !f.waitServed(ctx) {
		return
	}
	informer := dynamicinformer.NewFilteredDynamicInformer(f.client, f.kind.Resource(), metav1.NamespaceAll, 0, cache.Indexers{}, nil).Informer()
	_ = informer.SetTransform(trim)
	_ = informer.SetWatchErrorHandlerWithContext(logWatchError(f.log, f.name()))
	handled, _ := informer.AddEventHandler(counted(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { f.take(nil, object) },
		UpdateFunc: f.take,
		DeleteFunc: f.drop,
	}, f.name(), f.event))
	runInformer(ctx, informer, handled, f.markComplete)
}

// waitServed returns when the kind is served; false if ctx ended first. Only if the API server answers that it does not serve
// the kind is the feed complete without a list: after an error there may be rules that have to be enforced.
func (f *configFeed) waitServed(ctx context.Context) bool {
	timer := time.NewTicker(f.every)
	defer timer.Stop()
	for first := true; ; first = false {
		served, err := f.served()
		switch {
		case served:
			return true
		case err != nil:
			f.log.Warn("kind cannot be looked up, trying again", "error", err)
		default:
			if first {
				f.log.Info("kind is not installed, waiting for it")
			}
			f.markComplete()
		}
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
		}
	}
}

func (f *configFeed) served() (bool, error) {
	gvr := f.kind.Resource()
	list, err := f.api.ServerResourcesForGroupVersion(gvr.GroupVersion().String())
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == gvr.Resource }), nil
}

func (f *configFeed) markComplete() {
	if !f.complete.Swap(true) {
		f.changed()
	}
}

// take decodes an added or changed object. One that can't be decoded is named in the log.
func (f *configFeed) take(before, after any) {
	raw, ok := after.(*unstructured.Unstructured)
	if !ok {
		return
	}
	if old, ok := before.(*unstructured.Unstructured); ok && !specChanged(old, raw) {
		return
	}
	var object istioconfig.Object
	var err error
	if problem := mesh.Guarded(mesh.Pilot, func() { object, err = f.decode(raw) }); problem != nil {
		f.log.Error("internal error, object cannot be read", "object", nameOf(raw), "effect", f.fallback(raw), "reason", problem.Reason, "stack", problem.Stack)
		return
	}
	if err != nil {
		f.log.Warn("object cannot be read", "object", nameOf(raw), "effect", f.fallback(raw), "error", err)
		return
	}
	for _, r := range object.Rewrites {
		f.log.Debug("old spelling", "object", nameOf(raw), "field", r.Field, "was", r.Was, "now", r.Now)
	}
	f.objects.put(mesh.ConfigName(object), &object, always)
	f.changed()
}

// fallback gives an object that can't be decoded the effect that it returns: that of its last good version. Without one it has none,
// or, where the kind fails closed, that of Kind.Unreadable.
func (f *configFeed) fallback(raw *unstructured.Unstructured) string {
	const fallbackGeneration = -1 // a generation that no object has
	o := istioconfig.Object{
		Kind: f.kind, Namespace: raw.GetNamespace(), Name: raw.GetName(), UID: raw.GetUID(), Created: raw.GetCreationTimestamp().Time, Generation: fallbackGeneration,
	}
	key, deleted := mesh.ConfigName(o), func(now *istioconfig.Object) bool { return !now.SameAs(o) }
	unreadable := f.kind.Unreadable()
	if unreadable != nil {
		o.Spec = unreadable.Spec
		f.objects.put(key, &o, deleted)
	} else {
		f.objects.drop(key, deleted)
	}
	f.changed()
	switch now := f.objects.get(key); {
	case now == nil:
		return "none"
	case now.Generation == fallbackGeneration:
		return unreadable.Effect
	}
	return "that of its last version"
}

// always is for objects of one watch alone.
func always(*istioconfig.Object) bool { return true }

// specChanged ignores changes of status and of metadata that has no effect.
func specChanged(a, b *unstructured.Unstructured) bool {
	return a.GetGeneration() != b.GetGeneration() || b.GetGeneration() == 0 || a.GetUID() != b.GetUID() || !maps.Equal(a.GetLabels(), b.GetLabels())
}

func (f *configFeed) drop(object any) {
	raw, ok := kube.Deleted(object).(*unstructured.Unstructured)
	if !ok {
		return
	}
	f.objects.drop(mesh.ConfigName(istioconfig.Object{Kind: f.kind, Namespace: raw.GetNamespace(), Name: raw.GetName()}), always)
	f.changed()
}

func nameOf(o *unstructured.Unstructured) string { return o.GetNamespace() + "/" + o.GetName() }
