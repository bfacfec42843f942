package table

import (
	"crypto/sha256"
	"encoding/binary"
	"sync/atomic"
)

// node is an entry with those below it: smaller keys to the left, larger ones to the right, none of higher priority.
type node[V comparable] struct {
	key         string
	value       V
	priority    uint64
	left, right *node[V]
	sum         atomic.Pointer[[sha256.Size]byte] // once it was asked for
}

func (n *node[V]) above(other *node[V]) bool {
	return n.priority > other.priority || n.priority == other.priority && n.key < other.key
}

// between is n with other children.
func (n *node[V]) between(left, right *node[V]) *node[V] {
	if left == n.left && right == n.right {
		return n
	}
	return &node[V]{key: n.key, value: n.value, priority: n.priority, left: left, right: right}
}

func (n *node[V]) insert(entry *node[V]) *node[V] {
	switch {
	case n == nil:
		return entry
	case entry.key == n.key && entry.value == n.value:
		return n
	case entry.key == n.key:
		return entry.between(n.left, n.right)
	case entry.above(n):
		left, right := n.split(entry.key)
		return entry.between(left, right)
	case entry.key < n.key:
		return n.between(n.left.insert(entry), n.right)
	}
	return n.between(n.left, n.right.insert(entry))
}

func (n *node[V]) remove(key string) *node[V] {
	switch {
	case n == nil:
		return nil
	case key < n.key:
		return n.between(n.left.remove(key), n.right)
	case key > n.key:
		return n.between(n.left, n.right.remove(key))
	}
	return join(n.left, n.right)
}

// split divides what is below n at a key that is not there.
func (n *node[V]) split(key string) (left, right *node[V]) {
	switch {
	case n == nil:
		return nil, nil
	case key < n.key:
		left, right = n.left.split(key)
		return left, n.between(right, n.right)
	}
	left, right = n.right.split(key)
	return n.between(n.left, left), right
}

// join makes one tree of two, where every key of the left is smaller than every key of the right.
func join[V comparable](left, right *node[V]) *node[V] {
	switch {
	case left == nil:
		return right
	case right == nil:
		return left
	case left.above(right):
		return left.between(left.left, join(left.right, right))
	}
	return right.between(join(left, right.left), right.right)
}

func (n *node[V]) each(yield func(string, V) bool) bool {
	return n == nil || n.left.each(yield) && yield(n.key, n.value) && n.right.each(yield)
}

// diff walks two trees at once. Where the roots differ, the higher one is not in the other tree at all.
func diff[V comparable](a, b *node[V], yield func(Change[V]) bool) bool {
	switch {
	case a == b:
		return true
	case a == nil:
		return b.each(func(k string, v V) bool { return yield(Change[V]{Key: k, New: v, Has: true}) })
	case b == nil:
		return a.each(func(k string, v V) bool { return yield(Change[V]{Key: k, Old: v, Had: true}) })
	case a.key == b.key:
		return diff(a.left, b.left, yield) &&
			(a.value == b.value || yield(Change[V]{a.key, a.value, b.value, true, true})) && diff(a.right, b.right, yield)
	case a.above(b):
		left, right := b.split(a.key)
		return diff(a.left, left, yield) && yield(Change[V]{Key: a.key, Old: a.value, Had: true}) && diff(a.right, right, yield)
	}
	left, right := a.split(b.key)
	return diff(left, b.left, yield) && yield(Change[V]{Key: b.key, New: b.value, Has: true}) && diff(right, b.right, yield)
}

// Summed is a value that knows the hash of its content.
type Summed interface {
	comparable
	Sum() string
}

// Sum is a hash of all entries: equal for equal content, within one process, and as hard to forge as SHA-256. What a table
// shares with an earlier version is not hashed again.
func Sum[V Summed](t Table[V]) string {
	sum := sumOf(t.root)
	return string(sum[:])
}

func sumOf[V Summed](n *node[V]) [sha256.Size]byte {
	if n == nil {
		return [sha256.Size]byte{}
	}
	if known := n.sum.Load(); known != nil {
		return *known
	}
	left, right, value := sumOf(n.left), sumOf(n.right), n.value.Sum()
	b := make([]byte, 0, 2*sha256.Size+len(n.key)+len(value)+8)
	b = append(append(b, left[:]...), right[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(len(n.key)))
	sum := sha256.Sum256(append(append(b, n.key...), value...))
	n.sum.Store(&sum)
	return sum
}
