// Package installation is the operator: it turns one Installation into a service mesh, repairs it and removes it.
//
//	observe -> desired.Build -> apply, stage by stage -> report.Status -> one patch
//
// Its parts are packages below this one, each with a memory of its own:
//
//	kinds      the table of Kubernetes kinds: how each is watched, applied and removed
//	desired    pure: the table of components; spec and facts -> objects, in stages
//	report     pure: what happened -> status and Events
//	watch      what the operator knows about the cluster
//	write      server-side apply, inventory, prune
//	removal    the mesh of a deleted Installation
//	dataplane  the numbers of proxies, polled from pilot
//	admission  the ValidatingAdmissionPolicies for Installations
//	rbac       the operator's ClusterRoles in config/rbac, computed from kinds and charts
//
// This package holds the controller (controller.go), the steps of an install (install.go, bootstrap.go, definitions.go,
// preflight.go, roots.go), and what it remembers of a mesh (memory.go).
//
// Objects live in several namespaces and at cluster scope, where an owner reference to the Installation is not allowed. They
// are owned by label (internal/owner), by the inventory, and, outside the mesh's namespace, by a reference to that namespace:
// deleting it cleans up even without an operator.
package installation
