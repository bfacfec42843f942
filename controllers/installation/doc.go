// Package installation is the operator: it turns one Installation into a service mesh and keeps it that way.
//
//	observe -> Desired -> apply, stage by stage -> Status -> one patch
//
// What it decides is computed by functions without a client in sight (desired.go, images.go, values.go, support.go,
// status.go, events.go), what it does to the cluster is in few files (bootstrap.go, preflight.go, install.go, removal.go), and
// controller.go reads as the list of what happens. Everything applied is recorded in an inventory before the first write, so
// that an operator killed at any moment continues where it was, and what is no longer wanted is found again.
//
// Objects live in several namespaces and at cluster scope, where an owner reference to the Installation cannot go. They are
// owned by label (internal/owner), by the inventory, and, outside the mesh's namespace, by a reference to that namespace:
// deleting it cleans up even when there is no operator left.
package installation
