package server

import (
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/mesh-operator/mesh-operator/xds/envoy"
	"github.com/mesh-operator/mesh-operator/xds/mesh"
	"github.com/mesh-operator/mesh-operator/xds/resource"
	"github.com/mesh-operator/mesh-operator/xds/scope"
)

// Server gives proxies their configuration. Publish and the streams may run at the same time.
type Server struct {
	log     *slog.Logger
	metrics *metrics
	builder *envoy.Builder

	sendWithin time.Duration

	publishing sync.Mutex // one push at a time
	problems   problems   // of the last push; guarded by publishing

	mu          sync.Mutex
	snapshot    *mesh.Snapshot
	generation  uint64
	connections map[*connection]bool
	streams     map[string]int // by pod
}

// Publish makes snapshot the current one and wakes the proxies whose resources it changes, and only those.
func (s *Server) Publish(snapshot *mesh.Snapshot) {
	s.publishing.Lock()
	defer s.publishing.Unlock()
	start := time.Now()
	generation, connections := s.advance(snapshot)
	p := push{snapshot: snapshot, builder: s.builder, sets: map[string]*resource.Set{}, moves: moves{}}
	for _, c := range connections {
		proxy, ok := snapshot.Proxy(c.proxy.Namespace, c.proxy.Name)
		if !ok || proxy.UID != c.proxy.UID || proxy.Account != c.proxy.Account {
			c.expire()
			continue
		}
		c.offer(generation, p.set(proxy), p.compare)
	}
	s.problems.report(s.log, slices.Concat(snapshot.Problems, p.problems))
	s.metrics.pushTime.Observe(time.Since(start).Seconds())
}

func (s *Server) advance(snapshot *mesh.Snapshot) (uint64, []*connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.snapshot = snapshot
	s.generation++
	return s.generation, slices.Collect(maps.Keys(s.connections))
}

// attach adds a connection. It is added before its set is made, so that a push at the same time reaches it: whichever of
// the two has the newer snapshot wins. A pod that has its share of streams is refused.
func (s *Server) attach(c *connection) bool {
	s.mu.Lock()
	if s.streams[nameOf(c)] >= streamsPerPod {
		s.mu.Unlock()
		return false
	}
	s.streams[nameOf(c)]++
	s.connections[c] = true
	snapshot, generation := s.snapshot, s.generation
	s.mu.Unlock()
	s.metrics.connected.Inc()
	proxy, ok := snapshot.Proxy(c.proxy.Namespace, c.proxy.Name)
	if !ok {
		c.expire()
		return true
	}
	set, _ := s.builder.Build(scope.For(snapshot, proxy))
	c.offer(generation, set, func(_, _ *resource.Set) Change { return nil })
	return true
}

func (s *Server) detach(c *connection) {
	s.mu.Lock()
	delete(s.connections, c)
	if s.streams[nameOf(c)]--; s.streams[nameOf(c)] == 0 {
		delete(s.streams, nameOf(c))
	}
	s.mu.Unlock()
	s.metrics.connected.Dec()
}

func (s *Server) current() *mesh.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.snapshot
}

// push is the work of one Publish that proxies share: a set per scope, a comparison per pair of sets.
type push struct {
	snapshot *mesh.Snapshot
	builder  *envoy.Builder
	sets     map[string]*resource.Set // by scope key
	moves    moves
	problems []mesh.Problem
}

func (p *push) set(proxy mesh.Proxy) *resource.Set {
	sc := scope.For(p.snapshot, proxy)
	set, ok := p.sets[sc.Key()]
	if !ok {
		var problems []mesh.Problem
		set, problems = p.builder.Build(sc)
		p.sets[sc.Key()] = set
		p.problems = append(p.problems, problems...)
	}
	return set
}

func (p *push) compare(from, to *resource.Set) Change {
	if from == nil {
		return nil
	}
	return p.moves.compare(from, to)
}
