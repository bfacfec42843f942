// Package table is what makes pilot's work follow the change and not the mesh: an immutable map, sorted by key, whose
// versions share all that they have in common. Changing one entry of n makes a new table in O(log n), and Diff finds what
// differs between two versions without looking at what they share.
//
// A table is a treap: a search tree by key that is a heap by the key's hash. Its shape depends on its keys alone, not on
// the order in which they came, and that is why two tables that were made differently can be compared, and have one Sum.
package table

import (
	"hash/maphash"
	"iter"
	"maps"
	"slices"
	"strings"
)

// Table is an immutable map. The zero value is empty. Two tables that are == are equal; equal ones need not be ==.
type Table[V comparable] struct{ root *node[V] }

// seed is secret, so that nobody can choose keys that make a deep tree.
var seed = maphash.MakeSeed()

// Of makes a table of a map, in less time than With for each.
func Of[V comparable](entries map[string]V) Table[V] {
	var spine []*node[V] // the right edge of the tree so far, the root first
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		n := &node[V]{key: key, value: entries[key], priority: maphash.String(seed, key)}
		for len(spine) > 0 && n.above(spine[len(spine)-1]) {
			n.left = spine[len(spine)-1]
			spine = spine[:len(spine)-1]
		}
		if len(spine) > 0 {
			spine[len(spine)-1].right = n
		}
		spine = append(spine, n)
	}
	if len(spine) == 0 {
		return Table[V]{}
	}
	return Table[V]{spine[0]}
}

// Get returns the value of a key, or the zero value.
func (t Table[V]) Get(key string) V {
	v, _ := t.Find(key)
	return v
}

// Find returns the value of a key and whether there is one.
func (t Table[V]) Find(key string) (v V, ok bool) {
	for n := t.root; n != nil; {
		switch c := strings.Compare(key, n.key); {
		case c == 0:
			return n.value, true
		case c < 0:
			n = n.left
		default:
			n = n.right
		}
	}
	return v, false
}

// With returns a table that has the value under the key. It is the same table if that changes nothing.
func (t Table[V]) With(key string, value V) Table[V] {
	return Table[V]{t.root.insert(&node[V]{key: key, value: value, priority: maphash.String(seed, key)})}
}

// Without returns a table that does not have the key. It is the same table if there was none.
func (t Table[V]) Without(key string) Table[V] { return Table[V]{t.root.remove(key)} }

// Empty tells whether there are no entries.
func (t Table[V]) Empty() bool { return t.root == nil }

// Len counts the entries, one by one.
func (t Table[V]) Len() int {
	n := 0
	for range t.All() {
		n++
	}
	return n
}

// All iterates in the order of the keys.
func (t Table[V]) All() iter.Seq2[string, V] {
	return func(yield func(string, V) bool) { t.root.each(yield) }
}

// Values iterates over the values in the order of the keys.
func (t Table[V]) Values() iter.Seq[V] {
	return func(yield func(V) bool) { t.root.each(func(_ string, v V) bool { return yield(v) }) }
}

// Change is an entry that differs between two tables. Had and Has tell in which of them it is.
type Change[V comparable] struct {
	Key      string
	Old, New V
	Had, Has bool
}

// Diff iterates over what differs between two tables, in the order of the keys. It costs as much as there is to tell, if
// one table was made from the other.
func Diff[V comparable](from, to Table[V]) iter.Seq[Change[V]] {
	return func(yield func(Change[V]) bool) { diff(from.root, to.root, yield) }
}

// Groups is a table of tables: several values under one name, each with a key of its own. A group without entries is not
// there.
type Groups[V comparable] struct{ Table[Table[V]] }

// With returns groups that have the value under the key in the group.
func (g Groups[V]) With(group, key string, value V) Groups[V] {
	return Groups[V]{g.Table.With(group, g.Get(group).With(key, value))}
}

// Without returns groups that do not have the key in the group.
func (g Groups[V]) Without(group, key string) Groups[V] {
	rest := g.Get(group).Without(key)
	if rest.Empty() {
		return Groups[V]{g.Table.Without(group)}
	}
	return Groups[V]{g.Table.With(group, rest)}
}
