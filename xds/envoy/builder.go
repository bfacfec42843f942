// Package envoy is the fourth stage of pilot: a Scope becomes Envoy resources. One file per concept, one per filter.
//
// A scope is translated part by part: the clusters of one service, the routes of one port, the listener of one address.
// Each part is remembered by the hash of what it is made from, so a change in one service costs one service, and proxies
// whose scopes differ elsewhere share the part's bytes. A part that fails, by a mistake of ours or a message that Envoy
// would refuse, becomes a Problem of the objects it was built from; everything else is still built.
package envoy

import (
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/scope"
)

// Builder translates scopes and remembers what it translated. It is safe for concurrent use.
type Builder struct {
	parts    *cache[part]
	outbound *cache[result] // what the sidecars of a namespace have in common, which is nearly all
	sets     *cache[result]
}

// part is the translation of a piece of a scope.
type part struct {
	resources []*resource.Resource
	problems  []mesh.Problem
}

type result struct {
	set      *resource.Set
	problems []mesh.Problem
}

// Sizes of the caches: a mesh of a thousand services has a few thousand parts, and a set for each workload.
const (
	partCache = 1 << 15
	setCache  = 1 << 10
)

// NewBuilder returns a Builder that remembers nothing yet.
func NewBuilder() *Builder {
	return &Builder{newCache[part](partCache), newCache[result](setCache), newCache[result](setCache)}
}

// Build returns the resources for s, the same *resource.Set for an equal scope, and what could not be expressed.
func (b *Builder) Build(s scope.Scope) (*resource.Set, []mesh.Problem) {
	r := b.sets.get(s.Key(), func() result { return b.build(s) })
	return r.set, r.problems
}

func (b *Builder) build(s scope.Scope) result {
	if s.Type == mesh.Router {
		c := newCollector(b, s)
		c.gateway()
		return c.result()
	}
	shared := b.outbound.get(sharedKey(s), func() result {
		c := newCollector(b, s)
		c.sends()
		return c.result()
	})
	c := newCollector(b, s)
	maps.Copy(c.set.Resources, shared.set.Resources)
	for _, t := range []resource.Type{resource.Cluster, resource.Listener} { // which a workload adds its own to
		c.set.Resources[t] = maps.Clone(c.set.Resources[t])
	}
	c.problems = slices.Clone(shared.problems)
	c.inbound()
	return c.result()
}

func sharedKey(s scope.Scope) string {
	return mesh.NewHash().Add(s.Outbound.Key, s.Settings.Key).Bool(s.IPv4).Bool(s.IPv6).Key()
}

// sends builds what the workloads of a namespace call.
func (c *collector) sends() {
	for _, service := range c.scope.Outbound.Services {
		c.clusters(service)
		c.tcpListeners(service)
	}
	c.fixedClusters()
	c.httpListeners()
	c.virtualOutbound()
}

// collector gathers the parts of one scope.
type collector struct {
	builder  *Builder
	scope    scope.Scope
	set      *resource.Set
	problems []mesh.Problem
}

func newCollector(b *Builder, s scope.Scope) *collector {
	c := &collector{builder: b, scope: s, set: &resource.Set{Resources: map[resource.Type]map[string]*resource.Resource{}}}
	for _, t := range []resource.Type{resource.Cluster, resource.Endpoint, resource.Listener, resource.Route, resource.Secret} {
		c.set.Resources[t] = map[string]*resource.Resource{}
	}
	return c
}

func (c *collector) result() result { return result{c.set, sortProblems(c.problems)} }

// add takes a part that is made from sources and what key is the hash of, and from nothing else but the settings.
func (c *collector) add(key mesh.Hash, sources []resource.Object, build func(*draft)) {
	key.List(objectTexts(sources)).Add(c.scope.Settings.Key).Bool(c.scope.IPv4).Bool(c.scope.IPv6)
	p := c.builder.parts.get(key.Key(), func() part { return drafted(sources, build) })
	for _, r := range p.resources {
		c.set.Resources[r.Type][r.Name] = r
	}
	c.problems = append(c.problems, p.problems...)
}

// draft is a part being made.
type draft struct {
	part
	sources []resource.Object
}

// failure is what a part panics with to give up; any other panic is a mistake of ours, which must not stop the rest of the
// mesh from being configured either.
type failure struct{ reason string }

func drafted(sources []resource.Object, build func(*draft)) (p part) {
	d := &draft{sources: sources}
	defer func() {
		if r := recover(); r != nil {
			d.fail(reasonOf(r))
			p = part{problems: d.problems}
		}
	}()
	build(d)
	return d.part
}

func reasonOf(recovered any) string {
	if f, ok := recovered.(failure); ok {
		return f.reason
	}
	return "internal error: the translation of this object failed"
}

// fail blames all sources that users write; if there are none, all.
func (d *draft) fail(reason string) {
	for _, o := range d.sources {
		d.problem(o, "", reason)
	}
}

func (d *draft) problem(o resource.Object, field, reason string) {
	d.problems = append(d.problems, mesh.Problem{Object: o, Field: field, Reason: reason})
}

// validated is what protoc-gen-validate generates for every Envoy message.
type validated interface {
	proto.Message
	ValidateAll() error
}

// emit adds a resource if Envoy would accept it.
func (d *draft) emit(t resource.Type, name string, m validated, sources ...resource.Object) {
	sources = sortedObjects(append(slices.Clone(d.sources), sources...))
	if err := validate(m); err != nil {
		for _, o := range sources {
			d.problem(o, "", t.Short()+" "+name+" would be refused: "+err.Error())
		}
		return
	}
	d.emitValid(t, name, m, sources)
}

func (d *draft) emitValid(t resource.Type, name string, m validated, sources []resource.Object) {
	r, err := resource.New(t, name, m, sources...)
	if err != nil {
		panic(failure{err.Error()})
	}
	d.resources = append(d.resources, r)
}

func sortedObjects(list []resource.Object) []resource.Object {
	slices.Sort(list)
	return slices.Compact(list)
}

func sortProblems(list []mesh.Problem) []mesh.Problem {
	slices.SortFunc(list, mesh.CompareProblems)
	return slices.Compact(list)
}
