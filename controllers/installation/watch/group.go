package watch

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"

	"github.com/mesh-operator/mesh-operator/controllers/installation/kinds"
	"github.com/mesh-operator/mesh-operator/internal/owner"
)

// syncTimeout leaves time for a permission that was granted just before to take effect.
const syncTimeout = 30 * time.Second

// ownedSelector selects the objects that are ours.
var ownedSelector = labels.SelectorFromSet(labels.Set{
	owner.LabelManagedBy: owner.ManagedBy, owner.LabelInstallation: owner.Installation,
}).String()

// group is a set of informers that start and stop together.
type group struct {
	stop      context.CancelFunc
	informers map[schema.GroupKind]cache.SharedIndexInformer
	lastError atomic.Pointer[error] // the last reason why something could not be listed or watched
}

// open starts informers for kinds in namespace, or in all of them.
func (w *Watch) open(rows []kinds.Kind, namespace string) *group {
	ctx, stop := context.WithCancel(w.ctx)
	g := &group{stop: stop, informers: map[schema.GroupKind]cache.SharedIndexInformer{}}
	tweak := func(o *metav1.ListOptions) { o.LabelSelector = ownedSelector }
	metadataOnly := metadatainformer.NewFilteredSharedInformerFactory(w.metadata, 0, namespace, tweak)
	full := informers.NewSharedInformerFactoryWithOptions(w.kube, 0, informers.WithNamespace(namespace), informers.WithTweakListOptions(tweak))
	for _, row := range rows {
		informer, err := newInformer(row, metadataOnly, full)
		if err != nil {
			w.log.Error("Cannot watch", "resource", row.Resource, "error", err) // only a kind that client-go does not know
			continue
		}
		w.handle(g, informer)
		g.informers[row.GroupKind()] = informer
	}
	metadataOnly.Start(ctx.Done())
	full.Start(ctx.Done())
	return g
}

func newInformer(row kinds.Kind, metadataOnly metadatainformer.SharedInformerFactory, full informers.SharedInformerFactory) (cache.SharedIndexInformer, error) {
	resource := row.GroupVersion().WithResource(row.Resource)
	if row.Watch == kinds.Metadata {
		return metadataOnly.ForResource(resource).Informer(), nil
	}
	typed, err := full.ForResource(resource)
	if err != nil {
		return nil, err
	}
	return typed.Informer(), nil
}

// handle sends an event for every change, and records in g what keeps the informer from working.
func (w *Watch) handle(g *group, informer cache.SharedIndexInformer) {
	handler := cache.ResourceEventHandlerFuncs{AddFunc: w.changed, DeleteFunc: w.changed, UpdateFunc: func(_, now any) { w.changed(now) }}
	_, err := informer.AddEventHandler(handler)
	if err = errors.Join(err, informer.SetWatchErrorHandlerWithContext(g.onWatchError)); err != nil {
		w.log.Error("Cannot watch", "error", err) // only an informer that runs or has stopped refuses
	}
}

// onWatchError is called by informers, which then try again.
func (g *group) onWatchError(ctx context.Context, reflector *cache.Reflector, err error) {
	g.lastError.Store(&err)
	cache.DefaultWatchErrorHandler(ctx, reflector, err)
}

// informer returns the informer of a kind, nil when the group has none.
func (g *group) informer(apiGroup, kind string) cache.SharedIndexInformer {
	if g == nil {
		return nil
	}
	return g.informers[schema.GroupKind{Group: apiGroup, Kind: kind}]
}

// sync waits for the first list of every informer.
func (g *group) sync(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	synced := make([]cache.InformerSynced, 0, len(g.informers))
	for _, informer := range g.informers {
		synced = append(synced, informer.HasSynced)
	}
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		err := context.DeadlineExceeded
		if last := g.lastError.Load(); last != nil {
			err = *last
		}
		return fmt.Errorf("watch the mesh's objects: %w", err)
	}
	return nil
}
