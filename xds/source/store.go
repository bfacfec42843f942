package source

import (
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

// store takes the events of a watch and puts the objects into the inputs.
type store interface {
	set(object any)
	remove(object any)
	fill(in *mesh.Inputs)
}

// tableStore keeps objects in a table, so that what has changed is all that has to be handed over.
type tableStore[T comparable] struct {
	target func(*mesh.Inputs) *table.Table[T] // nobody else's

	mu     sync.Mutex
	now    table.Table[T]
	filled table.Table[T] // what was handed over last
}

// newStore returns a store that fills the table at target, alone. Watches whose objects belong to the same table share it.
func newStore[T interface {
	comparable
	metav1.Object
}](target func(*mesh.Inputs) *table.Table[T]) store {
	return &objectStore[T]{tableStore[T]{target: target}}
}

// objectStore are Kubernetes objects by namespace/name.
type objectStore[T interface {
	comparable
	metav1.Object
}] struct{ tableStore[T] }

func (k *objectStore[T]) set(object any) {
	if o, ok := object.(T); ok {
		k.put(mesh.NameOf(o).String(), o, func(now T) bool { return !outdated(o, now) })
	}
}

func (k *objectStore[T]) remove(object any) {
	if o, ok := object.(T); ok {
		k.drop(mesh.NameOf(o).String(), func(now T) bool { return now.GetUID() == o.GetUID() })
	}
}

// outdated tells whether the version o of an event is older than now. The events of one watch are in order, but two watches may
// have had objects of the same name one after the other, and either of them may lag. Versions are numbers that grow with each
// write to any object of a kind.
func outdated(o, now metav1.Object) bool {
	order, err := resourceversion.CompareResourceVersion(o.GetResourceVersion(), now.GetResourceVersion())
	return err == nil && order < 0 && o.GetUID() != now.GetUID()
}

// put stores a value, if it may replace the present one.
func (k *tableStore[T]) put(key string, value T, replaces func(now T) bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now, ok := k.now.Find(key); !ok || replaces(now) {
		k.now = k.now.With(key, value)
	}
}

// drop removes a value, if it is the one that the event is about.
func (k *tableStore[T]) drop(key string, meant func(now T) bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now, ok := k.now.Find(key); ok && meant(now) {
		k.now = k.now.Without(key)
	}
}

func (k *tableStore[T]) get(key string) T {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.now.Get(key)
}

// fill hands over what has changed.
func (k *tableStore[T]) fill(in *mesh.Inputs) {
	k.mu.Lock()
	from, to := k.filled, k.now
	k.filled = to
	k.mu.Unlock()
	t := k.target(in)
	for c := range table.Diff(from, to) {
		if c.Has {
			*t = t.With(c.Key, c.New)
		} else {
			*t = t.Without(c.Key)
		}
	}
}
