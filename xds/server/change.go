package server

import (
	"slices"

	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/table"
)

// Change names the resources that differ between two sets. It is computed once for all proxies that make the same step,
// and nil means that the difference is unknown: everything has to be compared.
type Change map[resource.Type][]string

// Compare returns the names whose versions differ between two sets. Its cost is proportional to the difference.
func Compare(from, to *resource.Set) Change {
	change := Change{}
	for _, t := range resource.Types {
		for c := range table.Diff(from.Of(t), to.Of(t)) {
			if !c.Had || !c.Has || c.Old.Version != c.New.Version {
				change[t] = append(change[t], c.Key)
			}
		}
	}
	return change
}

// comparisons remembers comparisons, for proxies that share their sets.
type comparisons map[transition]Change

type transition struct{ from, to *resource.Set }

func (m comparisons) compare(from, to *resource.Set) Change {
	if from == nil {
		return nil
	}
	change, ok := m[transition{from, to}]
	if !ok {
		change = Compare(from, to)
		m[transition{from, to}] = change
	}
	return change
}

// empty tells whether nothing differs.
func (c Change) empty() bool { return c != nil && len(c) == 0 }

// Merge returns the names of both.
func (c Change) Merge(other Change) Change {
	switch {
	case c == nil || other == nil:
		return nil
	case c.empty():
		return other
	case other.empty():
		return c
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
