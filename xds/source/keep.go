package source

import (
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
	target func(*mesh.Inputs) *table.Table[T]

	mu     sync.Mutex
	now    table.Table[T]
	filled table.Table[T] // what was handed over last
}

// keep returns a keeper that fills the table at target, which it may share with others.
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
		k.put(mesh.NameOf(o).String(), o)
	}
}

func (k *keptObjects[T]) remove(object any) {
	if o, ok := object.(T); ok {
		k.drop(mesh.NameOf(o).String())
	}
}

func (k *kept[T]) put(key string, value T) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now = k.now.With(key, value)
}

func (k *kept[T]) drop(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now = k.now.Without(key)
}

// fill hands over what has changed. An entry that another keeper of the same table has replaced is not removed.
func (k *kept[T]) fill(in *mesh.Inputs) {
	k.mu.Lock()
	from, to := k.filled, k.now
	k.filled = to
	k.mu.Unlock()
	t := k.target(in)
	for c := range table.Diff(from, to) {
		switch {
		case c.Has:
			*t = t.With(c.Key, c.New)
		case t.Get(c.Key) == c.Old:
			*t = t.Without(c.Key)
		}
	}
}
