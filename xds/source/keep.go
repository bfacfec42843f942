package source

import (
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

// keeper takes the objects of a watch as they come and go, and puts them into the inputs.
type keeper interface {
	set(object any)
	remove(object any)
	fill(in *mesh.Inputs)
}

// kept keeps objects in a table, so that what has changed is all that has to be handed over.
type kept[T comparable] struct {
	target func(*mesh.Inputs) *table.Table[T] // nobody else's

	mu     sync.Mutex
	now    table.Table[T]
	filled table.Table[T] // what was handed over last
}

// keep returns a keeper that fills the table at target, alone. Watches that tell of objects of the same table share it.
func keep[T interface {
	comparable
	metav1.Object
}](target func(*mesh.Inputs) *table.Table[T]) keeper {
	return &keptObjects[T]{kept[T]{target: target}}
}

// keptObjects are Kubernetes objects by namespace/name.
type keptObjects[T interface {
	comparable
	metav1.Object
}] struct{ kept[T] }

func (k *keptObjects[T]) set(object any) {
	if o, ok := object.(T); ok {
		k.put(mesh.NameOf(o).String(), o, func(now T) bool { return !stale(o, now) })
	}
}

func (k *keptObjects[T]) remove(object any) {
	if o, ok := object.(T); ok {
		k.drop(mesh.NameOf(o).String(), func(now T) bool { return now.GetUID() == o.GetUID() })
	}
}

// stale tells whether what a watch says of o is overtaken by now. One watch tells of an object in order, but two of them may
// be about objects that had one name one after the other, and either of them may lag. Versions are numbers that grow with each
// write to any object of a kind.
func stale(o, now metav1.Object) bool {
	order, err := resourceversion.CompareResourceVersion(o.GetResourceVersion(), now.GetResourceVersion())
	return err == nil && order < 0 && o.GetUID() != now.GetUID()
}

// put keeps a value, if it may replace the one that is there.
func (k *kept[T]) put(key string, value T, replaces func(now T) bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now, ok := k.now.Find(key); !ok || replaces(now) {
		k.now = k.now.With(key, value)
	}
}

// drop forgets a value, if it is the one that is meant.
func (k *kept[T]) drop(key string, meant func(now T) bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now, ok := k.now.Find(key); ok && meant(now) {
		k.now = k.now.Without(key)
	}
}

func (k *kept[T]) get(key string) T {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.now.Get(key)
}

// fill hands over what has changed.
func (k *kept[T]) fill(in *mesh.Inputs) {
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
