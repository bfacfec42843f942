package server

import (
	"reflect"
	"slices"
	"unsafe"

	"github.com/mesh-operator/mesh-operator/xds/resource"
)

// Change names the resources that differ between two sets. It is computed once for all proxies that make the same step,
// and nil means that nobody knows: everything has to be compared.
type Change map[resource.Type][]string

// Compare returns the names whose versions differ between two sets.
func Compare(from, to *resource.Set) Change { return moves{}.compare(from, to) }

// moves remembers comparisons. Sets of different scopes share the map of a type where they agree about it, so it is maps
// that are compared once, not sets.
type moves map[move][]string

type move struct{ from, to unsafe.Pointer }

func (m moves) compare(from, to *resource.Set) Change {
	change := Change{}
	for t := range served {
		a, b := from.Of(t), to.Of(t)
		key := move{reflect.ValueOf(a).UnsafePointer(), reflect.ValueOf(b).UnsafePointer()}
		if key.from == key.to {
			continue
		}
		names, ok := m[key]
		if !ok {
			names = compareType(a, b)
			m[key] = names
		}
		if len(names) > 0 {
			change[t] = names
		}
	}
	return change
}

func compareType(from, to map[string]*resource.Resource) []string {
	var names []string
	for name, r := range to {
		if old := from[name]; old != r && (old == nil || old.Version != r.Version) {
			names = append(names, name)
		}
	}
	for name := range from {
		if to[name] == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Merge returns the names of both.
func (c Change) Merge(other Change) Change {
	if c == nil || other == nil {
		return nil
	}
	out := Change{}
	for t := range served {
		names := slices.Concat(c[t], other[t])
		slices.Sort(names)
		if names = slices.Compact(names); len(names) > 0 {
			out[t] = names
		}
	}
	return out
}
