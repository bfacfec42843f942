package kube

import "k8s.io/client-go/tools/cache"

// Deleted returns the object of a deletion event: an informer that has missed the deletion wraps the last state that it knew.
func Deleted(object any) any {
	if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		return tombstone.Obj
	}
	return object
}
