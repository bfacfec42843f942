package server

import (
	"github.com/mesh-operator/mesh-operator/xds/envoy"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/scope"
)

// views is what was computed from one snapshot and proxies share.
type views struct {
	scopes  *scope.Views
	shared  *scope.Memo[*envoy.Shared] // by Scope.ShareKey
	outputs *scope.Memo[*output]       // by Scope.Key
}

// newViews returns the views of a snapshot, which start from those of the snapshot before; these may be nil.
func newViews(before *views, snapshot *mesh.Snapshot) *views {
	if before == nil {
		before = &views{}
	}
	return &views{scopes: scope.NewViews(before.scopes, snapshot), shared: scope.NextMemo(before.shared), outputs: scope.NextMemo(before.outputs)}
}

func (v *views) snapshot() *mesh.Snapshot { return v.scopes.Snapshot }

// output is what the proxies of one scope get, and the problems of it.
type output struct {
	set      *resource.Set
	problems []mesh.Problem // besides those of shared
	shared   *envoy.Shared
}

// output builds a scope once for all its proxies. A scope that was there in the snapshot before keeps its set, and one that has
// changed starts from what sidecars of its namespace had in common.
func (v *views) output(b *envoy.Builder, s scope.Scope) *output {
	var shared *envoy.Shared
	if s.Outbound != nil {
		shared = v.shared.Get(s.ShareKey(), func(before **envoy.Shared) *envoy.Shared {
			if before == nil {
				return b.Share(nil, s)
			}
			return b.Share(*before, s)
		})
	}
	return v.outputs.Get(s.Key(), func(before **output) *output {
		if before != nil {
			return *before
		}
		out := &output{shared: shared}
		out.set, out.problems = b.BuildWith(shared, s)
		return out
	})
}
