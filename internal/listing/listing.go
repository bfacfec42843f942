// Package listing shortens lists in messages: an object may name thousands of others.
package listing

import (
	"fmt"
	"slices"
)

// First returns the first items of a list, at most so many, and how many more there are as a last item.
func First[T ~string](items []T, most int) []T {
	more := len(items) - most
	if more <= 0 {
		return items
	}
	return append(slices.Clone(items[:most]), T(fmt.Sprintf("and %d more", more)))
}
