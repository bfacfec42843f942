// Package envoy is the fourth stage of pilot: a Scope becomes Envoy resources. One file per concept, one per filter.
//
// A scope is translated part by part: the clusters of one service, the routes of one port, the listener of one address.
// Each part is cached by the hash of its inputs, so a change in one service costs one service, and proxies whose scopes
// differ elsewhere share the part's bytes. What the sidecars of a namespace have in common, which is nearly all, is carried
// from scope to scope: only services whose views differ are translated. A part that fails, by a panic or by a message that
// Envoy would reject, becomes a Problem of the objects it was built from; everything else is still built.
package envoy

import (
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/scope"
)

// Builder translates scopes and caches the translated parts. It is safe for concurrent use.
type Builder struct {
	parts    *cache[part]
	services *cache[part]
}

// part is the translation of a piece of a scope.
type part struct {
	resources []*resource.Resource
	hosts     []*virtualHost
	chains    []*sharedChain
	claim     string // of a service: its order among those that claim an address, the first has it
	problems  []mesh.Problem
}

func (p part) bytes() int {
	n := 0
	for _, r := range p.resources {
		n += len(r.Body.GetValue())
	}
	for _, h := range p.hosts {
		n += len(h.frame)
	}
	for _, x := range p.chains {
		n += proto.Size(x.chain)
	}
	return n
}

// panicked reports whether the part is empty because its translation panicked.
func (p part) panicked() bool {
	return len(p.resources)+len(p.hosts)+len(p.chains) == 0 && slices.ContainsFunc(p.problems, func(p mesh.Problem) bool { return p.Stack != "" })
}

// The bounds of a generation of the caches: a mesh of five thousand services has some ten thousand parts, of a few KiB each.
const (
	maxParts     = 1 << 15
	maxPartBytes = 128 << 20
)

// NewBuilder returns a Builder with empty caches.
func NewBuilder() *Builder {
	return &Builder{newCache(maxParts, maxPartBytes, part.bytes), newCache(maxParts, maxPartBytes, part.bytes)}
}

// Build returns the resources for s, and what could not be expressed.
func (b *Builder) Build(s scope.Scope) (*resource.Set, []mesh.Problem) {
	var shared *Shared
	if s.Type != mesh.Router {
		shared = b.Share(nil, s)
	}
	set, problems := b.BuildWith(shared, s)
	return set, sortProblems(slices.Concat(shared.Problems(), problems))
}

// BuildWith is Build for a sidecar whose part that it shares with others of its namespace has been translated. A router
// shares nothing: shared is nil. The problems are those that are not shared.
func (b *Builder) BuildWith(shared *Shared, s scope.Scope) (*resource.Set, []mesh.Problem) {
	c := newCollector(b, s)
	if s.Type == mesh.Router {
		c.gateway()
		return (*resource.Set)(nil).Put(c.resources...), sortProblems(c.problems)
	}
	c.inbound()
	return shared.set.Put(c.resources...), sortProblems(c.problems)
}

// collector gathers the parts of one scope, or of a piece of it.
type collector struct {
	part
	builder    *Builder
	scope      scope.Scope
	near       string          // of a piece that is one service: what nearCaller says
	routeNames map[string]bool // of a gateway
}

func newCollector(b *Builder, s scope.Scope) *collector {
	return &collector{builder: b, scope: s, routeNames: map[string]bool{}}
}

// add adds a part. It depends on sources, on the inputs whose hash is key, and on the settings, and on nothing else.
func (c *collector) add(key mesh.Hash, sources []resource.Object, build func(*draft)) {
	key.List(objectTexts(sources)).Add(c.scope.Settings.Key).Bool(c.scope.IPv4).Bool(c.scope.IPv6)
	c.take(c.builder.parts.get(key.Key(), func() part { return buildPart(sources, build) }))
}

// addReporting is add for a part that also depends on what the proxy reports.
func (c *collector) addReporting(key mesh.Hash, sources []resource.Object, build func(*draft)) {
	c.add(key.Add(c.scope.Telemetry.Key), sortedObjects(append(slices.Clone(sources), c.scope.Telemetry.Objects...)), build)
}

// withoutTelemetry is a collector for parts that do not depend on what the proxy reports, and are shared with proxies that report
// something else.
func (c *collector) withoutTelemetry(add func(*collector)) {
	other := newCollector(c.builder, c.scope)
	other.near, other.scope.Telemetry = c.near, nil
	add(other)
	c.take(other.part)
}

// make adds a part that is too large for the cache.
func (c *collector) make(sources []resource.Object, build func(*draft)) {
	c.take(buildPart(sources, build))
}

func (c *collector) take(p part) {
	c.resources = append(c.resources, p.resources...)
	c.hosts = append(c.hosts, p.hosts...)
	c.chains = append(c.chains, p.chains...)
	c.problems = append(c.problems, p.problems...)
}

// draft is a part being made.
type draft struct {
	part
	sources []resource.Object
}

// failure is what a part panics with to give up. Any other panic is a fault of pilot; it must not stop the configuration of
// the rest of the mesh either.
type failure struct{ reason string }

func buildPart(sources []resource.Object, build func(*draft)) part {
	d := &draft{sources: sources}
	if p := mesh.Catch(func() { build(d) }); p != nil {
		d.failWith(p)
		return part{problems: d.problems}
	}
	return d.part
}

func (d *draft) failWith(p *mesh.Panic) {
	if f, ok := p.Value.(failure); ok {
		d.fail(f.reason)
		return
	}
	for _, o := range d.sources {
		d.problems = append(d.problems, p.Problem(o))
	}
	if len(d.sources) == 0 {
		d.problems = append(d.problems, p.Problem(mesh.Pilot))
	}
}

// fail records a problem of all sources.
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

// emit adds a resource unless Envoy would reject it.
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
	return mesh.LimitProblems(slices.Compact(list))
}
